//! How an upstream fares: what its answers showed, and how that looks to the choice.

use super::Upstream;
use crate::{
    breaker::{Admission, Breaker},
    observed::{Observed, UNMEASURED},
    outcome::Reason,
    route::Candidate,
};
use protocol::ModelName;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// The longest that a "busy, come back later" is honoured.
pub const BUSY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) breaker: Breaker,
    busy_until: Option<Instant>,
    /// It will not have us, and that was said.
    refuses_us: bool,
    pub(super) observed: Observed,
    /// What it said of its speed, where it was never seen at work.
    pub(super) service_said: Option<Duration>,
}

impl Upstream {
    /// How it looks to the choice. `preference` is its group's place in the route.
    pub fn candidate(&self, preference: usize, now: Instant) -> Candidate {
        let health = self.health.lock();
        let inventory = self.inventory.load();
        let limit = self.lane.limit();
        let service = health.observed.service().or(health.service_said);
        Candidate {
            preference,
            admission: health.breaker.admission(now),
            // Who announced itself is up until it is asked and does not answer.
            up: inventory.up || (self.is_stranger() && !inventory.known && inventory.trouble.is_none()),
            in_flight: self.lane.in_flight(),
            limit,
            busy: health.busy_until.is_some_and(|until| now < until),
            tier: inventory.tier,
            others: inventory.capacity.map_or(0, |capacity| capacity.others),
            concurrency: inventory.capacity.map_or(limit, |capacity| capacity.concurrency),
            service: service.unwrap_or(UNMEASURED),
            lends: health.observed.lends(now),
            owes_us: self.owes_us.load(Ordering::Relaxed),
        }
    }

    /// What its breaker says of the next request.
    pub fn admission(&self, now: Instant) -> Admission {
        self.health.lock().breaker.admission(now)
    }

    /// When it may be free again, if it said that it is busy.
    pub fn busy_until(&self) -> Option<Instant> {
        self.health.lock().busy_until
    }

    pub fn sent(&self, now: Instant) {
        self.health.lock().breaker.sent(now);
    }

    /// It began to answer.
    pub fn succeeded(&self) {
        let mut health = self.health.lock();
        health.breaker.succeeded();
        health.busy_until = None;
        health.refuses_us = false;
        health.observed.took_at(self.lane.in_flight());
        if let Some(capacity) = self.inventory.load().capacity {
            self.lane.set_limit(health.observed.room(capacity.concurrency));
        }
    }

    /// It brought an answer to its end in this time.
    pub fn served(&self, took: Duration) {
        self.health.lock().observed.served(took);
    }

    pub fn failed(&self, now: Instant) {
        self.health.lock().breaker.failed(now);
    }

    /// A try at it, asked for this model while `in_flight` of ours were in it, came to nothing.
    pub fn was_of_no_use(&self, reason: &Reason, model: &ModelName, in_flight: usize, now: Instant) {
        if reason.is_a_failure() || reason.refuses_us() {
            self.failed(now);
        }
        if reason.refuses_us() {
            self.note_refusal(reason);
        }
        match reason {
            // It is not asked again before it announces itself anew.
            Reason::Down(why) | Reason::Gone(why) if self.is_stranger() => self.set_down(why.clone()),
            Reason::Status(404, _) if !self.is_own() => self.lacks(model, now),
            Reason::NoCredit { .. } => self.lends_nothing(now),
            Reason::Busy(retry_after) => self.busy(*retry_after, in_flight, now),
            _ => {}
        }
    }

    /// Says once, until it serves us again, that its owner or ours has something to do.
    fn note_refusal(&self, reason: &Reason) {
        let noted = std::mem::replace(&mut self.health.lock().refuses_us, true);
        if noted {
            return;
        }
        let todo = match self.is_own() {
            true => "correct its key (`api_key_env`); until then it rests, and its lines wait",
            false => "compare both clocks, or ask its owner; until then it rests, and its lines wait",
        };
        tracing::warn!(upstream = %self.name, %reason, "an upstream will not have us: {todo}");
    }

    /// How long it took for what it answered, if it was seen to.
    pub fn service(&self) -> Option<Duration> {
        self.health.lock().observed.service()
    }

    /// It said that it does not have a model, whatever it lists.
    pub fn lacks(&self, model: &ModelName, now: Instant) {
        self.health.lock().observed.lacks(model, now);
    }

    /// It lends us no more for now: others are asked before it.
    pub fn lends_nothing(&self, now: Instant) {
        self.health.lock().observed.lends_nothing(now);
    }

    /// Whether it owes us by our books.
    pub fn set_owes_us(&self, owes_us: bool) {
        self.owes_us.store(owes_us, Ordering::Relaxed);
    }

    /// It said that it is busy for so long, while so many of ours were in it.
    pub fn busy(&self, retry_after: Duration, in_flight: usize, now: Instant) {
        let mut health = self.health.lock();
        health.busy_until = Some(now + retry_after.min(BUSY_MAX));
        if !self.is_own() {
            health.observed.full_at(in_flight);
            self.lane.set_limit(health.observed.room(self.lane.limit()));
        }
    }

    /// The word for its state in `peers list`.
    pub fn state(&self, now: Instant) -> &'static str {
        let inventory = self.inventory.load();
        let candidate = self.candidate(0, now);
        match (inventory.known, inventory.up, candidate.admission) {
            (false, ..) => "unknown",
            (_, _, Admission::Tripped | Admission::Probing) => "tripped",
            (_, false, _) => "down",
            _ if candidate.busy => "busy",
            _ => "admitting",
        }
    }
}
