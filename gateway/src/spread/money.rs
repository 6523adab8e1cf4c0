//! Batches with a budget (`metadata.max_credits`): the store holds it; here is what is done when it is short.

use super::{Spread, flight::Flight, reach::Kind};
use crate::clock;
use std::collections::{HashMap, HashSet};
use work::tasks::WaitingTask;

/// What is known of batches and their money.
#[derive(Debug, Default)]
pub(super) struct Money {
    /// Batches whose next task costs more than they may spend now.
    short: HashSet<String>,
    /// How many tasks of each batch are on their way.
    flying: HashMap<String, usize>,
}

impl Money {
    /// Whether its tasks may go only where they cost nothing, for now.
    pub(super) fn is_short(&self, batch: &str) -> bool {
        self.short.contains(batch)
    }

    /// A task of this batch begins; true if it is the only one.
    pub(super) fn begin(&mut self, batch: &str) -> bool {
        let flying = self.flying.entry(batch.to_owned()).or_default();
        *flying += 1;
        *flying == 1
    }

    /// It ended. If it was leased, what it did not use may be spent.
    pub(super) fn end(&mut self, batch: &str, was_leased: bool) {
        if was_leased {
            self.short.remove(batch);
        }
        if let Some(flying) = self.flying.get_mut(batch) {
            *flying -= 1;
            if *flying == 0 {
                self.flying.remove(batch);
            }
        }
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

    /// A task costs more than is left. If nothing else of its batch runs, nothing will be given back: the
    /// batch is stopped, unless somebody works for nothing.
    pub(super) async fn over_budget(&self, flight: &Flight) {
        self.leasing.lock().remove(&flight.task.id);
        let Some(terms) = &flight.task.terms else { return };
        let who = self.reach.look(self.node, &Kind::of(&flight.task)).who;
        let somebody_is_free = who.iter().any(|(_, upstream)| upstream.is_own());
        if !flight.alone || somebody_is_free {
            return self.wait_for_money(&flight.task);
        }
        let batches = self.node.work.batches();
        let reserved = batches.progress(&terms.id).await.ok().flatten().map(|progress| progress.reserved);
        if reserved.is_none_or(|reserved| reserved.get() > 0) {
            return self.wait_for_money(&flight.task);
        }
        let left = terms.left.unwrap_or_default();
        let message = format!(
            "the batch may spend {left} more credits, and its next line may cost more; raise `metadata.max_credits`, \
             or lower `max_tokens` in its lines"
        );
        let stopped = batches.stop(&terms.id, "max_credits_reached", &message, clock::now()).await;
        if let Err(error) = stopped {
            tracing::debug!(%error, batch = terms.id, "a batch whose credits are spent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_short_waits_until_something_of_it_ends() {
        let mut money = Money::default();
        assert!(money.begin("a") && !money.begin("a") && money.begin("b"));
        money.short.insert("a".into());
        assert!(money.is_short("a") && !money.is_short("b"));
        money.end("a", false);
        assert!(money.is_short("a"), "nothing was given back");
        assert!(!money.begin("a"));
        money.end("a", true);
        assert!(!money.is_short("a"));
        assert!(!money.begin("a"), "one is on its way still");
        money.end("a", true);
        money.end("a", true);
        assert!(money.flying.keys().eq(["b"]));
    }
}
