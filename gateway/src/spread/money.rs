//! Batches with a budget (`metadata.max_credits`): the store holds it; here is what is done when it is short.

use super::{Spread, flight::Flight, reach::Kind};
use crate::clock;
use protocol::{Credits, Timestamp};
use std::{collections::HashSet, time::Duration};
use work::tasks::WaitingTask;

/// A batch waits for so long after a try whose worker was not heard: most are back by then, and what the try does
/// not cost can be spent on others.
const HEARD_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Whether what a batch holds back now may be left for it again: open leases rarely cost all that they reserve,
/// and a worker that was not heard may have made nothing.
pub(super) fn more_may_come(reserved: Credits, unheard_at: Option<Timestamp>, now: Timestamp) -> bool {
    let within = HEARD_WITHIN.as_millis() as u64;
    reserved > Credits::ZERO || unheard_at.is_some_and(|at| now.millis_since(at) < within)
}

/// What is known of batches and their money.
#[derive(Debug, Default)]
pub(super) struct Money {
    /// Batches whose next task costs more than they may spend now.
    short: HashSet<String>,
}

impl Money {
    /// Whether its tasks may go only where they cost nothing, for now.
    pub(super) fn is_short(&self, batch: &str) -> bool {
        self.short.contains(batch)
    }

    /// Something of it ended.
    pub(super) fn look_at(&mut self, batch: &str) {
        self.short.remove(batch);
    }

    /// Another process may have given something back.
    pub(super) fn look_again(&mut self) {
        self.short.clear();
    }
}

impl Spread<'_> {
    /// A task costs more than its batch may spend now.
    pub(super) fn wait_for_money(&self, task: &WaitingTask) {
        if let Some(terms) = &task.terms {
            self.money.lock().short.insert(terms.id.clone());
        }
    }

    /// A task costs more than is left. If nothing will be given back the batch is stopped, unless somebody works
    /// for nothing.
    pub(super) async fn over_budget(&self, flight: &Flight) {
        self.leasing.lock().remove(&flight.task.id);
        let Some(terms) = &flight.task.terms else { return };
        let who = self.reach.look(self.node, &Kind::of(&flight.task)).who;
        let somebody_is_free = who.iter().any(|(_, upstream)| upstream.is_own());
        let batches = self.node.work.batches();
        let progress = batches.progress(&terms.id).await.ok().flatten();
        let waits = progress.is_none_or(|now| more_may_come(now.reserved, now.unheard_at, clock::now()));
        if waits || somebody_is_free {
            return self.wait_for_money(&flight.task);
        }
        let left = terms.left.unwrap_or_default();
        let message = format!(
            "the batch may spend {left} more credits, and its next line may cost more; raise `metadata.max_credits`, \
             or lower `max_tokens` in its lines"
        );
        match batches.stop(&terms.id, left, ("max_credits_reached", &message), clock::now()).await {
            Ok(Some(_)) => {}
            // What ran when the task was read has ended, and gave back what it did not use.
            Ok(None) => self.node.work_now.notify_one(),
            Err(error) => tracing::debug!(%error, batch = terms.id, "a batch whose credits are spent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_what_may_come_back_and_not_for_a_worker_that_is_gone() {
        let at = Timestamp::from_millis;
        let within = HEARD_WITHIN.as_millis() as u64;
        assert!(!more_may_come(Credits::ZERO, None, at(9)));
        assert!(more_may_come(Credits::saturating(1), None, at(9)), "also where another process leased it");
        assert!(more_may_come(Credits::ZERO, Some(at(9)), at(8 + within)));
        assert!(!more_may_come(Credits::ZERO, Some(at(9)), at(9 + within)));
    }
}
