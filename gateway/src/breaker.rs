//! The health of one upstream as its own answers show it: pure, takes `now`.
//!
//! Failures count, and fade with time, so that ten failures spread over a day never trip it while
//! three in a row do. A tripped upstream rests, then one request probes it.

use std::time::{Duration, Instant};

/// So many recent failures (after fading) trip an upstream.
const TRIP_AT: f64 = 3.0;

/// A failure counts half after this long.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// The first rest; each trip that follows without a success in between doubles it.
const REST_MIN: Duration = Duration::from_secs(2);

/// The longest rest: a machine that came back is found again within this time.
const REST_MAX: Duration = Duration::from_secs(60);

/// What an upstream's breaker says about the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send it.
    Admitting,
    /// It rested long enough: one request may find out.
    Probing,
    /// Send it elsewhere, unless there is nowhere else.
    Tripped,
}

/// The memory of one upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    failures: f64,
    counted_at: Option<Instant>,
    state: State,
    trips_in_a_row: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Admitting,
    Tripped {
        until: Instant,
    },
    Probing {
        since: Instant,
    },
}

impl Breaker {
    /// Whether a request may be sent now.
    pub fn admission(&self, now: Instant) -> Admission {
        match self.state {
            State::Admitting => Admission::Admitting,
            State::Tripped { until } if now < until => Admission::Tripped,
            State::Tripped { .. } => Admission::Probing,
            // The probe is under way; if nothing came of it for the longest rest, another may go.
            State::Probing { since } if now < since + REST_MAX => Admission::Tripped,
            State::Probing { .. } => Admission::Probing,
        }
    }

    /// A request is being sent: if it is the probe, no other goes along.
    pub fn sent(&mut self, now: Instant) {
        if self.admission(now) == Admission::Probing {
            self.state = State::Probing { since: now };
        }
    }

    /// It answered as it should.
    pub fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// It failed in a way that is its own fault.
    pub fn failed(&mut self, now: Instant) {
        let faded = self.counted_at.map_or(0.0, |at| {
            let half_lives = now.saturating_duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64();
            self.failures * 0.5_f64.powf(half_lives)
        });
        self.failures = faded + 1.0;
        self.counted_at = Some(now);
        let trips = match self.state {
            // A hair below, so that failures a few milliseconds apart still add up to three.
            State::Admitting => self.failures > TRIP_AT - 0.5,
            State::Probing { .. } => true,
            // It was under way when the upstream tripped, and says nothing new: many may have been.
            State::Tripped { .. } => false,
        };
        if trips {
            let rest = REST_MIN.saturating_mul(1 << self.trips_in_a_row.min(10)).min(REST_MAX);
            self.state = State::Tripped { until: now + rest };
            self.trips_in_a_row += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_trip_it_and_a_rest_lets_one_probe_through() {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..2 {
            breaker.failed(start);
            assert_eq!(breaker.admission(start), Admission::Admitting);
        }
        breaker.failed(start);
        assert_eq!(breaker.admission(start), Admission::Tripped);
        let rested = start + REST_MIN;
        assert_eq!(breaker.admission(rested), Admission::Probing);
        breaker.sent(rested);
        assert_eq!(breaker.admission(rested), Admission::Tripped, "only one probe at a time");
        breaker.succeeded();
        assert_eq!(breaker.admission(rested), Admission::Admitting);
    }

    #[test]
    fn a_failed_probe_doubles_the_rest_up_to_a_bound() {
        let mut breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..3 {
            breaker.failed(now);
        }
        let mut rest = REST_MIN;
        for _ in 0..20 {
            assert_eq!(breaker.admission(now + rest - Duration::from_millis(1)), Admission::Tripped);
            assert_eq!(breaker.admission(now + rest), Admission::Probing);
            now += rest;
            breaker.sent(now);
            breaker.failed(now);
            rest = (rest * 2).min(REST_MAX);
        }
    }

    #[test]
    fn what_was_under_way_when_it_tripped_does_not_make_its_rest_longer() {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..64 {
            breaker.failed(start);
        }
        assert_eq!(breaker.admission(start + REST_MIN), Admission::Probing);
    }

    #[test]
    fn failures_far_apart_never_trip_it() {
        let mut breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..1000 {
            breaker.failed(now);
            assert_eq!(breaker.admission(now), Admission::Admitting);
            now += HALF_LIFE * 2;
        }
    }
}
