//! What an upstream's answers show of it, against what it says of itself: pure, takes `now`.

use protocol::ModelName;
use std::time::{Duration, Instant};

/// How long an upstream that was never measured is taken to need for one request.
pub const UNMEASURED: Duration = Duration::from_secs(10);

/// The weight of the newest measurement. A machine that slows down is noticed after a few requests.
const NEWEST: f64 = 0.3;

/// For so long an upstream that says "I do not have it" is not asked for that model again, whatever it
/// lists.
const LACKS_FOR: Duration = Duration::from_secs(30);

/// For so long a peer that lends us nothing is asked after all others: credit comes back with work done
/// for it, and with its next day.
const NO_CREDIT_FOR: Duration = Duration::from_secs(5 * 60);

/// So many models that it lacks are remembered; the oldest gives way.
const LACKS_MAX: usize = 32;

/// The memory of one upstream.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    service_secs: Option<f64>,
    lacks: Vec<(ModelName, Instant)>,
    room: Option<usize>,
    no_credit_until: Option<Instant>,
}

impl Observed {
    /// It served a request in this time.
    pub fn served(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let before = self.service_secs.unwrap_or(took);
        self.service_secs = Some(before + NEWEST * (took - before));
    }

    /// How long it takes for one request; `None` if it was never seen to serve one.
    pub fn service(&self) -> Option<Duration> {
        self.service_secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
    }

    /// It said that it does not have a model.
    pub fn lacks(&mut self, model: &ModelName, now: Instant) {
        self.lacks.retain(|(known, at)| !known.same_model(model) && now < *at + LACKS_FOR);
        if self.lacks.len() >= LACKS_MAX {
            self.lacks.remove(0);
        }
        self.lacks.push((model.clone(), now));
    }

    /// Whether it said so of late.
    pub fn is_without(&self, model: &ModelName, now: Instant) -> bool {
        self.lacks.iter().any(|(known, at)| known.same_model(model) && now < *at + LACKS_FOR)
    }

    /// It said "busy" while `in_flight` of ours were in it, the refused one included: it has room for
    /// fewer, whatever it announced.
    pub fn full_at(&mut self, in_flight: usize) {
        self.room = Some(in_flight.saturating_sub(1).max(1));
    }

    /// It took a request with so many of ours in it: there may be room for one more.
    pub fn took_at(&mut self, in_flight: usize) {
        self.room = self.room.map(|room| if in_flight >= room { in_flight + 1 } else { room });
    }

    /// It refused us for want of credit.
    pub fn lends_nothing(&mut self, now: Instant) {
        self.no_credit_until = Some(now + NO_CREDIT_FOR);
    }

    /// Whether it may lend us something, as far as was seen.
    pub fn lends(&self, now: Instant) -> bool {
        self.no_credit_until.is_none_or(|until| now >= until)
    }

    /// How many of ours it takes at once, of those that it says.
    pub fn room(&self, said: usize) -> usize {
        self.room.map_or(said, |room| room.min(said)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_time_follows_what_is_seen() {
        let mut observed = Observed::default();
        assert_eq!(observed.service(), None);
        observed.served(Duration::from_secs(1));
        assert_eq!(observed.service(), Some(Duration::from_secs(1)));
        for _ in 0..20 {
            observed.served(Duration::from_secs(9));
        }
        assert!(observed.service().is_some_and(|service| service > Duration::from_secs(8)));
    }

    #[test]
    fn a_model_that_it_lacks_is_forgotten_after_a_while_and_the_list_is_bounded() {
        let mut observed = Observed::default();
        let now = Instant::now();
        let model = |n: usize| format!("m{n}").parse::<ModelName>().unwrap();
        for n in 0..100 {
            observed.lacks(&model(n), now);
        }
        assert_eq!(observed.lacks.len(), LACKS_MAX);
        assert!(observed.is_without(&"m99:latest".parse().unwrap(), now));
        assert!(!observed.is_without(&model(99), now + LACKS_FOR));
    }

    #[test]
    fn room_that_is_not_there_is_not_believed_and_grows_again_when_it_is() {
        let mut observed = Observed::default();
        assert_eq!(observed.room(8), 8);
        observed.full_at(3);
        assert_eq!(observed.room(8), 2);
        observed.took_at(1);
        assert_eq!(observed.room(8), 2);
        observed.took_at(2);
        assert_eq!(observed.room(8), 3);
        observed.full_at(1);
        assert_eq!(observed.room(8), 1);
    }
}
