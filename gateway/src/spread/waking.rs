//! Whether this machine slept: pure, takes both clocks.
//!
//! While the lid is closed leases run out, and when it opens nobody can be reached for some seconds. What workers
//! answered meanwhile waits there, good and to be paid: whoever is asked right then and not heard has not failed.
//! A process that starts has slept since the one before it ended.

use protocol::Timestamp;
use std::time::{Duration, Instant};

/// The clock is looked at each second. Where more than this has passed by the wall, the machine slept, the process
/// was stopped, or the clock was set.
const SLEPT_MIN: Duration = Duration::from_secs(5);

/// For so long after waking, workers that cannot be reached are asked again for what they had before.
const REACHED_WITHIN: Duration = Duration::from_secs(2 * 60);

/// When it was last awake, and when it last woke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waking {
    looked_at: Timestamp,
    slept_from: Timestamp,
    woke: (Timestamp, Instant),
}

impl Waking {
    /// The process starts.
    pub(super) fn begun(now: Timestamp, at: Instant) -> Self {
        Self { looked_at: now, slept_from: Timestamp::from_millis(0), woke: (now, at) }
    }

    /// To be called each second; `now` by the wall, `at` by the clock that nobody sets.
    pub(super) fn look(&mut self, now: Timestamp, at: Instant) {
        if Duration::from_millis(now.millis_since(self.looked_at)) > SLEPT_MIN {
            (self.slept_from, self.woke) = (self.looked_at, (now, at));
        }
        self.looked_at = now;
    }

    /// Whether a lease of this time ran out while nobody could ask for its answer, and its worker may be reached
    /// yet.
    pub(super) fn slept_over(&self, leased_at: Timestamp, answer_by: Timestamp, at: Instant) -> bool {
        let (woke_at, woke) = self.woke;
        leased_at < woke_at
            && answer_by >= self.slept_from
            && at.saturating_duration_since(woke) < REACHED_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_lease_that_ran_out_in_sleep_is_asked_after_for_a_while_after_waking() {
        // The clock that nobody sets stands still in sleep.
        let begun = Instant::now();
        let mut waking = Waking::begun(at(0), begun);
        (1..300).for_each(|n| waking.look(at(n), begun + Duration::from_secs(n)));
        let asleep = begun + Duration::from_secs(299);
        assert!(!waking.slept_over(at(200), at(260), asleep), "it was asked after all the time");
        waking.look(at(8 * 3600), asleep);
        let slept_over =
            |leased, by, later| waking.slept_over(at(leased), at(by), asleep + Duration::from_secs(later));
        assert!(slept_over(290, 350, 0) && slept_over(290, 350, 119));
        assert!(!slept_over(290, 350, 120), "a worker that is gone holds no line for ever");
        assert!(!slept_over(200, 260, 1), "it ran out before");
        assert!(!slept_over(8 * 3600 + 1, 8 * 3600 + 5, 6), "it was leased after waking");
    }

    #[test]
    fn what_another_process_leased_is_asked_after_when_this_one_starts() {
        let begun = Instant::now();
        let waking = Waking::begun(at(1000), begun);
        assert!(waking.slept_over(at(0), at(60), begun));
        assert!(!waking.slept_over(at(1001), at(1005), begun + Duration::from_secs(6)));
    }
}
