//! What this gateway saw of the answers to its orders, for receipts that come later than their answers: a
//! worker that keeps one back must not be able to say more in it (SPEC section 4).
//!
//! In memory only: a restart forgets it, and then a receipt is bounded by its order alone.

use moka::sync::Cache;
use parking_lot::Mutex;
use protocol::judge::{Received, Seen};
use std::{fmt, sync::Arc};

/// So many exchanges whose receipt has not come are remembered; of more, the ones looked at longest ago are
/// forgotten.
const EXCHANGES_MAX: u64 = 65_536;

/// What was seen of one answer.
#[derive(Clone, Copy, Debug)]
pub enum Saw {
    /// It is under way: its receipt is not asked for.
    Running,
    /// No answer that anybody owes for: refused, or broken before its first word.
    Nothing,
    /// The beginning of a stream, that our tool left or that broke.
    Part(Seen),
    /// All of it.
    Whole(Seen),
    /// The tool did not wait for it: nothing can be compared.
    Unwaited,
    /// Its receipt is kept.
    Settled,
}

/// By the order's id.
#[derive(Clone)]
pub struct Witness(Cache<String, Saw>);

impl Default for Witness {
    fn default() -> Self {
        Self(Cache::new(EXCHANGES_MAX))
    }
}

impl Witness {
    /// Begins to watch the answer to an order.
    pub fn watch(&self, order_id: &str) -> Watching {
        self.0.insert(order_id.to_owned(), Saw::Running);
        let (witness, id) = (self.clone(), order_id.to_owned());
        Watching(Arc::new(Inner { witness, id, saw: Mutex::new(Saw::Unwaited) }))
    }

    /// Whether the exchange is still under way here.
    pub fn is_running(&self, order_id: &str) -> bool {
        matches!(self.0.get(order_id), Some(Saw::Running))
    }

    /// What a receipt for this order is to be compared with.
    pub fn received(&self, order_id: &str) -> Received {
        match self.0.get(order_id) {
            Some(Saw::Nothing) => Received::Nothing,
            Some(Saw::Part(seen)) => Received::Part(seen),
            Some(Saw::Whole(seen)) => Received::Whole(seen),
            None | Some(Saw::Running | Saw::Unwaited | Saw::Settled) => Received::Unknown,
        }
    }

    /// Its receipt is kept.
    pub fn settled(&self, order_id: &str) {
        self.0.invalidate(order_id);
    }
}

/// One exchange while it is watched: what it saw last is remembered when the last clone of it is gone.
#[derive(Clone)]
pub struct Watching(Arc<Inner>);

struct Inner {
    witness: Witness,
    id: String,
    saw: Mutex<Saw>,
}

impl Watching {
    pub fn saw(&self, saw: Saw) {
        *self.0.saw.lock() = saw;
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watching").field(&*self.0.saw.lock()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match *self.saw.lock() {
            Saw::Settled => self.witness.0.invalidate(&self.id),
            saw => self.witness.0.insert(self.id.clone(), saw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_is_remembered_until_it_is_settled() {
        let witness = Witness::default();
        let one = witness.watch("one");
        assert!(witness.is_running("one") && witness.received("one") == Received::Unknown);
        one.saw(Saw::Nothing);
        let twin = one.clone();
        drop(one);
        assert!(witness.is_running("one"));
        drop(twin);
        assert_eq!(witness.received("one"), Received::Nothing);
        witness.watch("two").saw(Saw::Settled);
        assert!(!witness.is_running("two"));
        drop(witness.watch("three"));
        assert!(!witness.is_running("three"), "a tool that left is asked about no more");
    }
}
