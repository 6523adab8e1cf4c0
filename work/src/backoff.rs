//! When a task that failed is tried again.

use crate::limits::{ATTEMPTS_MAX, BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS};
use std::time::Duration;

/// How long to wait after the `attempts`th failure (1 is the first); `None` when it was tried often
/// enough. `jitter` is random, so that what failed together is not tried together: the wait is between
/// half of the full one and all of it.
pub fn after(attempts: u32, jitter: u32) -> Option<Duration> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(u64::BITS - 1);
    let full = BACKOFF_FIRST_MS.saturating_mul(1 << doublings).min(BACKOFF_LONGEST_MS);
    let half = full / 2;
    let share = (full - half) * u64::from(jitter) / u64::from(u32::MAX);
    Some(Duration::from_millis(half + share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_a_bound_and_then_end() {
        let waits: Vec<_> = (1..).map_while(|n| after(n, u32::MAX)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(after(ATTEMPTS_MAX, 0), None);
        assert_eq!(after(u32::MAX, 0), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_at_least_half_and_at_most_all(attempts in 0..ATTEMPTS_MAX, jitter: u32) {
            let (wait, full) = (after(attempts, jitter).unwrap(), after(attempts, u32::MAX).unwrap());
            prop_assert!(wait <= full && wait * 2 >= full);
            prop_assert!(full <= Duration::from_millis(BACKOFF_LONGEST_MS));
        }
    }
}
