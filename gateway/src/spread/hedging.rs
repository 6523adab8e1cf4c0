//! The last lines of a batch that wants it (`metadata.hedge`): one that takes long is tried a second time at an
//! idle machine. The first answer counts, the other try is cancelled and costs what it made.

use super::{Going, Spread, flight::Flight, reach::Kind};
use crate::{clock, orders, route::Standing, upstream::Upstream};
use protocol::Timestamp;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use work::tasks::{OpenLease, WaitingTask};

/// How often it is looked for lines that take long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// No line takes long before this.
const LONG_MIN: Duration = Duration::from_secs(2);

/// A line takes long if an idle machine would have answered it so many times.
const TIMES_THE_SERVICE: u32 = 3;

/// So many lines are tried a second time in one look.
const AT_ONCE: usize = 16;

/// Whether a line that has run for so long is worth a second try at a machine that takes `service` for one.
fn takes_long(running: Duration, service: Option<Duration>) -> bool {
    running >= service.map_or(LONG_MIN, |service| service.saturating_mul(TIMES_THE_SERVICE).max(LONG_MIN))
}

impl<'n> Spread<'n> {
    /// Tries slow lines a second time. To be called when nothing waits.
    pub(super) async fn hedge<'s>(&'s self, going: &mut Going<'s>) {
        {
            let mut last = self.hedged_at.lock();
            if last.elapsed() < LOOK_EVERY {
                return;
            }
            *last = Instant::now();
        }
        let now = clock::now();
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(LONG_MIN.as_millis() as u64));
        let slow = match self.node.work.tasks().hedgeable(before, AT_ONCE).await {
            Ok(slow) => slow,
            Err(error) => return tracing::debug!(%error, "slow lines are left alone for now"),
        };
        for (lease, _) in slow {
            // With what its batch allows, which the list leaves out.
            if let Ok(Some(task)) = self.node.work.tasks().one(lease.task).await {
                self.try_again(&lease, task, now, going);
            }
        }
    }

    fn try_again<'s>(&'s self, lease: &OpenLease, task: WaitingTask, now: Timestamp, going: &mut Going<'s>) {
        let running = Duration::from_millis(now.millis_since(lease.leased_at));
        let Some(upstream) = self.idle_for(&task, &lease.worker) else { return };
        if !takes_long(running, upstream.service()) {
            return;
        }
        let Some(slot) = self.node.slots.try_take(&upstream.lane) else { return };
        let warm = self.warm.lock().is_warm(&task.model, task.opening, &upstream.name);
        self.begin(Flight { task, upstream, slot, warm, hedge: true }, going);
    }

    /// The quickest machine that has nothing else to do.
    fn idle_for(&self, task: &WaitingTask, not: &str) -> Option<Arc<Upstream>> {
        let found = self.reach.look(self.node, &Kind::of(task));
        let now = Instant::now();
        let max_price = self.node.config().gateway.max_price;
        let idle = found.who.iter().map(|(_, upstream)| upstream).filter(|upstream| {
            let price = upstream.inventory().price(&task.model);
            upstream.name != not
                && upstream.candidate(0, now).standing() == Standing::Free
                && !self.node.prober.must_ask(upstream)
                && (upstream.is_own() || orders::affordable(price, max_price))
                && !self.past.lock().was_tried(task.id, &upstream.name)
                && !self.past.lock().has_no_room(task.id, &upstream.name)
        });
        idle.min_by_key(|upstream| upstream.service().unwrap_or(Duration::MAX)).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_long_by_what_the_idle_machine_needs_for_one() {
        let seconds = Duration::from_secs;
        assert!(!takes_long(seconds(1), Some(Duration::from_millis(1))));
        assert!(takes_long(seconds(2), Some(Duration::from_millis(1))));
        assert!(!takes_long(seconds(20), Some(seconds(10))));
        assert!(takes_long(seconds(30), Some(seconds(10))));
        assert!(takes_long(seconds(2), None));
    }
}
