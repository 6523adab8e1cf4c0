//! How much of one sender is taken: a token bucket.
//!
//! It is kept as the one moment at which it would be full again (the generic cell rate algorithm),
//! so that thousands of them cost 16 bytes each and need no clockwork.

use std::time::Duration;
use tokio::time::Instant;

/// A steady rate, and how much may come at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// What one costs.
    each: Duration,
    /// What a full bucket holds.
    burst: Duration,
}

impl Rate {
    /// `count` in every `period`, and up to `burst` at once. Of 0, 1 is made.
    pub(crate) const fn new(count: u32, period: Duration, burst: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        let burst = if burst == 0 { 1 } else { burst };
        let each = Duration::from_nanos(period.as_nanos() as u64 / count as u64);
        Self { each, burst: Duration::from_nanos(each.as_nanos() as u64 * burst as u64) }
    }

    /// `count` a second, and up to `burst` at once.
    pub(crate) const fn per_second(count: u32, burst: u32) -> Self {
        Self::new(count, Duration::from_secs(1), burst)
    }
}

/// What is left of a [`Rate`]; full when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one out, or says that there is none.
    pub(crate) fn take(&mut self, rate: &Rate, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + rate.each;
        let allowed = full_at.duration_since(now) <= rate.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }

    /// How long until there is one to take; zero if there is one now.
    pub(crate) fn wait(&self, rate: &Rate, now: Instant) -> Duration {
        (self.full_at.max(now) + rate.each).duration_since(now).saturating_sub(rate.burst)
    }

    /// Whether nothing was taken lately: such a bucket says no more than none.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(bucket: &mut Bucket, rate: &Rate, now: Instant, tries: u32) -> u32 {
        (0..tries).filter(|_| bucket.take(rate, now)).count() as u32
    }

    #[test]
    fn a_burst_then_the_steady_rate() {
        let rate = Rate::per_second(10, 30);
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!(taken(&mut bucket, &rate, start, 100), 30);
        assert_eq!(bucket.wait(&rate, start), Duration::from_millis(100));
        assert_eq!(taken(&mut bucket, &rate, start + Duration::from_millis(250), 100), 2);
        assert!(!bucket.is_full(start + Duration::from_secs(3)));
        assert!(bucket.is_full(start + Duration::from_millis(3200)));
        assert_eq!(taken(&mut bucket, &rate, start + Duration::from_secs(60), 100), 30);
    }

    proptest! {
        #[test]
        fn no_pattern_of_asking_gets_more_than_the_rate(
            steps in prop::collection::vec((0_u64..500, 0_u32..40), 1..50),
            per_second in 1_u32..200,
            burst in 1_u32..100,
        ) {
            let rate = Rate::per_second(per_second, burst);
            let start = Instant::now();
            let (mut bucket, mut now, mut got) = (Bucket::full(start), start, 0);
            for (pause, tries) in steps {
                now += Duration::from_millis(pause);
                got += taken(&mut bucket, &rate, now, tries);
            }
            let most = burst as f64 + per_second as f64 * now.duration_since(start).as_secs_f64() + 1.0;
            prop_assert!(got as f64 <= most, "{got} of at most {most}");
        }
    }
}
