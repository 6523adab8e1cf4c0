//! When to announce, and when to take it back: for one place, and pure.

use super::offer::Offer;
use crate::relays::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// How often a place is told something.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// The least time between two heartbeats (SPEC section 5), whatever the time to live.
    pub heartbeat_min: Duration,
    /// The least time between two announcements. A change that comes sooner waits until then.
    pub between_min: Duration,
    /// The first pause after a failure; doubles up to [`Tempo::retry_max`] or the heartbeat.
    pub retry: Duration,
    /// The longest pause after a failure.
    pub retry_max: Duration,
    /// How long taking back may take when the node stops.
    pub leaving_max: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            heartbeat_min: Duration::from_secs(30),
            between_min: Duration::from_secs(5),
            retry: Duration::from_secs(10),
            retry_max: Duration::from_secs(300),
            leaving_max: Duration::from_secs(3),
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Announce, by an announcement made after `oldest`.
    Announce {
        oldest: Instant,
    },
    Withdraw,
    /// Nothing, until then; for ever if `None`.
    Wait(Option<Instant>),
}

/// How a try went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// Nothing was sent: it is too early to say anything.
    TooEarly,
    /// Nothing was sent.
    NotTried(String),
    /// It may have arrived or not.
    Failed(String),
    /// It arrived and was not taken. The same again would not be, either.
    Refused(String),
}

#[derive(Debug)]
pub(crate) struct Rhythm {
    tempo: Tempo,
    /// What the place has.
    out: Option<Out>,
    last_try: Option<Instant>,
    resting_until: Option<Instant>,
    last: Last,
    backoff: Backoff,
}

/// How the last try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Well,
    NotTried,
    Failed,
    Refused,
}

#[derive(Debug)]
struct Out {
    offer: Offer,
    made_at: Instant,
    /// It may have forgotten it.
    doubtful: bool,
}

impl Rhythm {
    pub(crate) fn new(tempo: Tempo) -> Self {
        let backoff = Backoff::new(tempo.retry, tempo.retry_max);
        Self { tempo, out: None, last_try: None, resting_until: None, last: Last::Well, backoff }
    }

    pub(crate) fn step(&self, offer: Option<&Offer>, now: Instant) -> Step {
        let (due, step) = match (offer, &self.out) {
            (None, None) => return Step::Wait(None),
            (None, Some(_)) => (now, Step::Withdraw),
            (Some(offer), out) => {
                let wish = out.as_ref().map_or(now, |out| self.next(out, offer, now));
                (wish.max(self.floor(now)), Step::Announce { oldest: self.oldest(offer, now) })
            }
        };
        let due = due.max(self.resting_until.unwrap_or(now));
        if due <= now { step } else { Step::Wait(Some(due)) }
    }

    /// An announcement made at `made_at` was tried.
    pub(crate) fn announced(&mut self, offer: &Offer, made_at: Instant, outcome: &Outcome, now: Instant) {
        let out = || Out { offer: offer.clone(), made_at, doubtful: false };
        match outcome {
            Outcome::Done => self.out = Some(out()),
            // Perhaps it has it.
            Outcome::Failed(_) => self.out = Some(Out { doubtful: true, ..out() }),
            Outcome::Refused(_) | Outcome::NotTried(_) | Outcome::TooEarly => {}
        }
        self.tried(outcome, now);
        self.limit_rest(offer, now);
    }

    /// Taking back was tried.
    pub(crate) fn withdrawn(&mut self, outcome: &Outcome, now: Instant) {
        let expired = self.out.as_ref().is_none_or(|out| out.made_at + out.offer.ttl <= now);
        if expired || matches!(outcome, Outcome::Done) {
            self.out = None;
        }
        self.tried(outcome, now);
    }

    /// There is a new connection to the place: it is up, and may have lost its memory.
    pub(crate) fn connected_anew(&mut self) {
        if let Some(out) = &mut self.out {
            out.doubtful = true;
        }
        self.backoff.reset();
        self.resting_until = None;
    }

    /// The offer is another. A place that failed is not bothered sooner for that; but what could not be
    /// sent at all may be fit to be sent now.
    pub(crate) fn offer_changed(&mut self) {
        if self.last == Last::NotTried {
            self.backoff.reset();
            self.resting_until = None;
        }
    }

    fn tried(&mut self, outcome: &Outcome, now: Instant) {
        self.last = match outcome {
            Outcome::Done => Last::Well,
            Outcome::NotTried(_) | Outcome::TooEarly => Last::NotTried,
            Outcome::Failed(_) => Last::Failed,
            Outcome::Refused(_) => Last::Refused,
        };
        if self.last != Last::NotTried {
            self.last_try = Some(now);
        }
        if self.last == Last::Well {
            self.backoff.reset();
            self.resting_until = None;
        } else {
            self.resting_until = Some(now + self.backoff.next());
        }
    }

    /// No pause after a failure is longer than the wait for a heartbeat would have been.
    fn limit_rest(&mut self, offer: &Offer, now: Instant) {
        let latest = now + self.heartbeat(offer);
        self.resting_until = self.resting_until.map(|rest| rest.min(latest));
    }

    fn next(&self, out: &Out, offer: &Offer, now: Instant) -> Instant {
        if out.doubtful || offer.differs(&out.offer) { now } else { out.made_at + self.heartbeat(offer) }
    }

    fn floor(&self, now: Instant) -> Instant {
        self.last_try.map_or(now, |last| last + self.tempo.between_min)
    }

    fn heartbeat(&self, offer: &Offer) -> Duration {
        (offer.ttl / 2).max(self.tempo.heartbeat_min)
    }

    /// One that is younger than half its life will do, unless just this was refused.
    fn oldest(&self, offer: &Offer, now: Instant) -> Instant {
        let half_a_life = now.checked_sub(offer.ttl / 2).unwrap_or(now);
        match self.last_try {
            Some(last) if self.last == Last::Refused => last.max(half_a_life),
            _ => half_a_life,
        }
    }
}

#[cfg(test)]
#[path = "rhythm/tests.rs"]
mod tests;
