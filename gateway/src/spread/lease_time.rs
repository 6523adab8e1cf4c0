//! How long a worker has for a task: pure.
//!
//! The end of a lease is the order's `answerBy`: what completes later is nobody's debt. A short one gives the
//! task of a machine that died to another soon; a long one lets a slow machine finish. So it follows what was
//! seen of the worker, and doubles with each try of the task.

use std::time::Duration;

/// Nobody has less.
const LEASE_MIN: Duration = Duration::from_secs(60);

/// The first lease at a worker that was never seen to answer, and the longest first lease of all.
const LEASE_FIRST_MAX: Duration = Duration::from_secs(10 * 60);

/// A worker has this many times as long as it took before.
const TIMES_THE_SERVICE: u32 = 8;

/// `answerBy` may be this far ahead (SPEC section 4).
const LEASE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The lease at a worker that took `service` for what it answered before, of a task that was tried in vain
/// `attempts` times; never longer than the route lets an answer take.
pub(super) fn lease_time(service: Option<Duration>, attempts: u32, answer_timeout: Duration) -> Duration {
    let first = service.map_or(LEASE_FIRST_MAX, |service| service.saturating_mul(TIMES_THE_SERVICE));
    let first = first.clamp(LEASE_MIN, LEASE_FIRST_MAX);
    first.saturating_mul(1 << attempts.min(16)).min(answer_timeout).min(LEASE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_quick_worker_that_dies_holds_a_task_for_a_minute() {
        assert_eq!(lease_time(Some(Duration::from_millis(40)), 0, HOUR), LEASE_MIN);
    }

    #[test]
    fn an_answer_that_takes_long_gets_its_time_in_the_end() {
        let leases: Vec<u64> = (0..4).map(|n| lease_time(None, n, HOUR).as_secs() / 60).collect();
        assert_eq!(leases, [10, 20, 40, 60]);
        assert_eq!(lease_time(None, 0, Duration::from_secs(5)).as_secs(), 5, "the owner's word is the last");
    }

    proptest! {
        #[test]
        fn a_slower_worker_and_a_later_try_never_have_less(
            service in 0u64..10_000_000, more in 0u64..10_000_000, attempts in 0u32..40, hours in 1u32..500,
        ) {
            let (quick, slow) = (Duration::from_millis(service), Duration::from_millis(service + more));
            let lease = |service, attempts| lease_time(Some(service), attempts, HOUR * hours);
            prop_assert!(lease(quick, attempts) <= lease(slow, attempts));
            prop_assert!(lease(quick, attempts) <= lease(quick, attempts + 1));
            prop_assert!(lease(slow, attempts) <= LEASE_MAX);
        }
    }
}
