//! How long to leave alone what has just failed.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Pauses that double from `first` to `most`, each a little longer or shorter than that, so that
/// nodes that failed together do not try again together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    /// This one's own shift, from 0.75 to 1.25.
    shift: f64,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        // The keys of a hasher are the one source of chance in the standard library; nothing secret
        // hangs on it.
        let chance = RandomState::new().build_hasher().finish() % 1000;
        Self::with_shift(first, most, 0.75 + chance as f64 / 2000.0)
    }

    const fn with_shift(first: Duration, most: Duration, shift: f64) -> Self {
        Self { first, most, failures: 0, shift }
    }

    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures.min(30)));
        self.failures += 1;
        doubled.min(self.most).mul_f64(self.shift)
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_start_over() {
        let mut backoff = Backoff::with_shift(Duration::from_secs(5), Duration::from_secs(60), 1.0);
        let pauses: Vec<u64> = (0..6).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next().as_secs(), 5);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
        let last = (0..1000).map(|_| backoff.next()).last().unwrap();
        assert!(last >= Duration::from_secs(45) && last <= Duration::from_secs(75), "{last:?}");
    }
}
