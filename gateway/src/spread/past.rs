//! What became of a task's earlier tries: who is not to be asked again before others, and what a first peer
//! said of the request.

use crate::{
    outcome::Refusal,
    too_long::{self, TooLong},
    upstream::Upstream,
};
use std::collections::HashMap;
use work::tasks::TaskId;

/// So many tasks are remembered that failed somewhere. Of those beyond it nothing is: they may be sent to the
/// same upstream again, and a peer's verdict on them is heard anew.
const TASKS_MAX: usize = 10_000;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Past {
    tasks: HashMap<TaskId, Tried>,
}

#[derive(Debug, Default)]
struct Tried {
    /// By name.
    upstreams: Vec<String>,
    /// How often its turn did not come within its lease.
    unbegun: u32,
    /// The first peer's word that the request is wrong, and whether that is a stranger.
    verdict: Option<(Refusal, bool)>,
    /// Those that have no room for the prompt, by name.
    too_long: Vec<(String, TooLong)>,
}

impl Past {
    /// Whether a task came to nothing there before.
    pub(super) fn was_tried(&self, task: TaskId, upstream: &str) -> bool {
        self.tasks.get(&task).is_some_and(|tried| tried.upstreams.iter().any(|name| name == upstream))
    }

    /// It did.
    pub(super) fn note(&mut self, task: TaskId, upstream: &str) {
        if let Some(tried) = self.entry(task)
            && !tried.upstreams.iter().any(|name| name == upstream)
        {
            tried.upstreams.push(upstream.to_owned());
        }
    }

    /// Its turn did not come within its lease.
    pub(super) fn note_unbegun(&mut self, task: TaskId) {
        self.entry(task).into_iter().for_each(|tried| tried.unbegun = tried.unbegun.saturating_add(1));
    }

    /// How often that was so.
    pub(super) fn unbegun(&self, task: TaskId) -> u32 {
        self.tasks.get(&task).map_or(0, |tried| tried.unbegun)
    }

    /// An upstream says that the request is wrong. Gives that word where it is to be believed: the owner's own
    /// is, a peer when another agrees that is not a stranger like it (keys cost nothing), or when nobody else
    /// is left to ask.
    pub(super) fn heard(
        &mut self,
        task: TaskId,
        upstream: &Upstream,
        refusal: Refusal,
        others_left: bool,
    ) -> Option<Refusal> {
        let stranger = upstream.is_stranger();
        self.note(task, &upstream.name);
        let first = self.tasks.get(&task).and_then(|tried| tried.verdict.as_ref());
        let agrees = first.is_some_and(|(_, other)| !(stranger && *other));
        if upstream.is_own() || agrees || !others_left {
            return Some(refusal);
        }
        if let Some(tried) = self.entry(task) {
            tried.verdict.get_or_insert((refusal, stranger));
        }
        None
    }

    /// An upstream has no room for the task's prompt: it never gets it again. Whether that is remembered.
    pub(super) fn had_no_room(&mut self, task: TaskId, upstream: &str, too_long: TooLong) -> bool {
        let Some(tried) = self.entry(task) else { return false };
        tried.too_long.retain(|(name, _)| name != upstream);
        tried.too_long.push((upstream.to_owned(), too_long));
        true
    }

    /// How many tasks have no room somewhere.
    pub(super) fn without_room(&self) -> usize {
        self.tasks.values().filter(|tried| !tried.too_long.is_empty()).count()
    }

    /// Whether it has no room for it.
    pub(super) fn has_no_room(&self, task: TaskId, upstream: &str) -> bool {
        self.tasks.get(&task).is_some_and(|tried| tried.too_long.iter().any(|(name, _)| name == upstream))
    }

    /// What is said of a task for which nobody has room.
    pub(super) fn largest_room(&self, task: TaskId) -> Option<TooLong> {
        let tried = self.tasks.get(&task)?;
        too_long::largest(tried.too_long.iter().map(|(name, too_long)| (name.as_str(), too_long)))
    }

    /// The task has ended.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    fn entry(&mut self, task: TaskId) -> Option<&mut Tried> {
        let room = self.tasks.len() < TASKS_MAX;
        match self.tasks.entry(task) {
            std::collections::hash_map::Entry::Occupied(known) => Some(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => room.then(|| new.insert(Tried::default())),
        }
    }
}
