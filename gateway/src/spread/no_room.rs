//! Tasks whose prompts are longer than the context of all who could answer them.

use super::{Going, Spread, came::Said, landing::Landing, reach::Found};
use crate::{clock, outcome::Reason, too_long};
use futures::FutureExt;
use work::tasks::WaitingTask;

impl<'n> Spread<'n> {
    /// Notes who has no room for a task, which then goes elsewhere. What cannot be noted is a failure like others, or
    /// it would be sent there again and again.
    pub(super) fn note_no_room(&self, landing: &Landing<'_>, said: &mut Said) {
        let (Said::Nothing(Reason::TooLong(too_long)), Some(upstream)) = (&*said, landing.upstream) else {
            return;
        };
        let listed = upstream.with_model(&landing.task.model, |model| model.context_length).flatten();
        let too_long = too_long.clone().or_context(listed);
        let words = too_long.to_string();
        if !self.past.lock().had_no_room(landing.task.id, &upstream.name, too_long) {
            *said = Said::Nothing(Reason::Broken(words));
        }
        self.node.work_now.notify_one();
    }

    /// Whether all who have the task's model said, or are known, to have no room for its prompt. Then it is given up;
    /// somebody who is merely away is waited for.
    pub(super) fn nobody_has_room<'s>(
        &'s self,
        task: &WaitingTask,
        found: &Found,
        going: &Going<'s>,
    ) -> bool {
        let past = self.past.lock();
        if !found.who.iter().all(|(_, upstream)| past.has_no_room(task.id, &upstream.name)) {
            return false;
        }
        let Some(too_long) = past.largest_room(task.id) else { return false };
        drop(past);
        if !self.leasing.lock().insert(task.id) {
            return true;
        }
        let id = task.id;
        let give_up = async move {
            self.node.metrics.task("refused");
            let message = too_long.to_string();
            let given_up = self.node.work.tasks().give_up(id, (too_long::CODE, &message), clock::now()).await;
            match given_up {
                Ok(_) => self.past.lock().forget(id),
                Err(error) => tracing::debug!(%error, task = %id, "a task that fits nowhere"),
            }
            self.leasing.lock().remove(&id);
        };
        going.push(give_up.boxed());
        true
    }
}
