//! The loop over attempts: the next upstream is asked as long as nothing of an answer went out.

use crate::{
    attempt::{self, Ask},
    downstream::{Downstream, Gone},
    failure::{Attempted, Failure},
    node::Node,
    outcome::{OpenStream, Outcome, Reason, Refusal, WholeAnswer},
    roster::Upstream,
    route::{self, Standing},
    slots::Slot,
};
use protocol::ModelName;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// One request is tried at so many upstreams and no more.
pub const ATTEMPTS_MAX: usize = 16;

/// After "everybody is busy": when to come back, if no upstream said.
const COME_BACK: Duration = Duration::from_secs(5);

/// An upstream that is ready to answer, with its place kept until the answer is over.
pub struct Ready {
    pub upstream: Arc<Upstream>,
    pub outcome: ReadyOutcome,
    /// How many were tried, this one included.
    pub attempts: usize,
    pub slot: Slot,
}

/// What it is ready to answer with.
pub enum ReadyOutcome {
    Stream(Box<OpenStream>),
    Whole(WholeAnswer),
}

/// How the search for an answer ended without one.
pub enum NoAnswer {
    /// The requester left.
    Left,
    /// Told to the requester as our own error.
    Failed(Failure),
    /// An upstream's own words about the request, with how many were tried.
    Verdict(Refusal, Arc<Upstream>, usize),
}

impl From<Gone> for NoAnswer {
    fn from(_: Gone) -> Self {
        NoAnswer::Left
    }
}

/// One request's way through the candidates.
pub struct Search<'a> {
    node: &'a Node,
    candidates: Vec<(usize, Arc<Upstream>)>,
    /// Places in `candidates` that are done with.
    done: Vec<bool>,
    /// Places that were asked at least once.
    asked: Vec<bool>,
    tried: Vec<(Attempted, Reason)>,
    /// The first peer's opinion that the request is wrong: believed when a second one agrees.
    verdict: Option<(Refusal, Arc<Upstream>)>,
    give_up_at: tokio::time::Instant,
    model: &'a ModelName,
    streamed: bool,
}

enum Pick {
    Try(usize, Slot),
    /// Everybody left is busy; perhaps not after this time.
    Wait(Option<Instant>),
    Exhausted,
}

impl<'a> Search<'a> {
    /// `candidates` with their group's place in the route; not empty.
    pub fn new(
        node: &'a Node,
        candidates: Vec<(usize, Arc<Upstream>)>,
        model: &'a ModelName,
        streamed: bool,
    ) -> Self {
        let done = vec![false; candidates.len()];
        let give_up_at = tokio::time::Instant::now() + node.config.gateway.max_wait;
        let asked = done.clone();
        Self { node, candidates, done, asked, tried: Vec::new(), verdict: None, give_up_at, model, streamed }
    }

    /// Asks one candidate after the other; `ask` makes the request for each.
    pub async fn run<'b>(
        mut self,
        down: &mut Downstream,
        ask: impl Fn(&Upstream) -> Ask<'b>,
    ) -> Result<Ready, NoAnswer> {
        while self.tried.len() < ATTEMPTS_MAX {
            let (place, slot) = match self.pick() {
                Pick::Try(place, slot) => (place, slot),
                Pick::Wait(until) => match self.wait(down, until).await? {
                    Some(taken) => taken,
                    None => continue,
                },
                Pick::Exhausted => break,
            };
            let upstream = Arc::clone(&self.candidates[place].1);
            let request = ask(&upstream);
            upstream.sent(Instant::now());
            let work = attempt::attempt(&self.node.connections, &upstream.destination, &request);
            let outcome = down.attend(self.streamed, work).await?;
            self.asked[place] = true;
            let attempts = self.attempts();
            let outcome = match outcome {
                Outcome::Stream(open) => ReadyOutcome::Stream(open),
                Outcome::Whole(answer) => ReadyOutcome::Whole(answer),
                Outcome::Verdict(refusal) => {
                    self.done[place] = true;
                    self.heard(refusal, upstream)?;
                    continue;
                }
                Outcome::Next(reason) => {
                    drop(slot);
                    self.note(place, reason);
                    continue;
                }
            };
            upstream.succeeded();
            self.node.metrics.attempt("ready");
            return Ok(Ready { upstream, outcome, attempts, slot });
        }
        Err(self.exhausted())
    }

    /// How many upstreams were asked, those that were busy included.
    fn attempts(&self) -> usize {
        self.asked.iter().filter(|asked| **asked).count()
    }

    fn pick(&self) -> Pick {
        let now = Instant::now();
        let open: Vec<usize> = (0..self.candidates.len()).filter(|&place| !self.done[place]).collect();
        let views: Vec<_> = open
            .iter()
            .map(|&place| {
                let (preference, upstream) = &self.candidates[place];
                upstream.candidate(*preference, now)
            })
            .collect();
        for at in route::order(&views, self.node.next_spread()) {
            if views[at].standing() == Standing::Busy {
                break;
            }
            let lane = &self.candidates[open[at]].1.lane;
            if let Some(slot) = self.node.slots.try_take(lane) {
                return Pick::Try(open[at], slot);
            }
        }
        if open.is_empty() {
            return Pick::Exhausted;
        }
        let soonest =
            open.iter().filter_map(|&place| self.candidates[place].1.busy_until()).filter(|&at| at > now);
        Pick::Wait(soonest.min())
    }

    /// Waits for room at any candidate that is left. `None`: look again.
    async fn wait(
        &self,
        down: &mut Downstream,
        until: Option<Instant>,
    ) -> Result<Option<(usize, Slot)>, NoAnswer> {
        if tokio::time::Instant::now() >= self.give_up_at {
            return Err(NoAnswer::Failed(Failure::Busy { retry_after: COME_BACK }));
        }
        let now = Instant::now();
        let open = self.candidates.iter().enumerate().filter(|(place, _)| !self.done[*place]);
        // Who said "busy" is not asked before its time, room in its lane or not.
        let waitable = open.filter(|(_, (_, upstream))| upstream.busy_until().is_none_or(|at| at <= now));
        let lanes: Vec<_> = waitable.map(|(_, (_, upstream))| Arc::clone(&upstream.lane)).collect();
        let ticket = self.node.slots.queue(lanes);
        let ticket = ticket.map_err(|_| NoAnswer::Failed(Failure::Busy { retry_after: COME_BACK }))?;
        let look_again = until.map_or(self.give_up_at, |at| self.give_up_at.min(at.into()));
        let slot = down.attend(self.streamed, tokio::time::timeout_at(look_again, ticket.slot())).await?;
        let Ok(Some(slot)) = slot else { return Ok(None) };
        let place = self.candidates.iter().position(|(_, upstream)| slot.is_in(&upstream.lane));
        Ok(place.map(|place| (place, slot)))
    }

    fn note(&mut self, place: usize, reason: Reason) {
        let upstream = &self.candidates[place].1;
        self.node.metrics.attempt("next");
        if reason.is_a_failure() {
            upstream.failed(Instant::now());
        }
        tracing::debug!(upstream = %upstream.name, %reason, "asking the next");
        if let Reason::Busy(retry_after) = reason {
            // Not done with: it is waited for if nobody else is free.
            upstream.busy(retry_after, Instant::now());
            return;
        }
        self.done[place] = true;
        let attempted = Attempted { peer: upstream.name.clone(), reason: reason.to_string() };
        self.tried.push((attempted, reason));
    }

    /// An upstream says that the request is wrong. The owner's own is believed; a peer only when
    /// another agrees, or one could make every request fail.
    fn heard(&mut self, refusal: Refusal, upstream: Arc<Upstream>) -> Result<(), NoAnswer> {
        self.node.metrics.attempt("verdict");
        let attempts = self.attempts();
        if upstream.is_own() || self.verdict.is_some() {
            return Err(NoAnswer::Verdict(refusal, upstream, attempts));
        }
        let reason = Reason::Status(refusal.status, "it says that the request is wrong".into());
        self.tried.push((Attempted { peer: upstream.name.clone(), reason: reason.to_string() }, reason));
        self.verdict = Some((refusal, upstream));
        Ok(())
    }

    fn exhausted(self) -> NoAnswer {
        let attempts = self.attempts();
        if let Some((refusal, upstream)) = self.verdict {
            return NoAnswer::Verdict(refusal, upstream, attempts);
        }
        let all = |test: fn(&Reason) -> bool| self.tried.iter().all(|(_, reason)| test(reason));
        let (down, timed_out) =
            (all(|r| matches!(r, Reason::Down(_))), all(|r| matches!(r, Reason::TimedOut)));
        let without_it = all(|r| matches!(r, Reason::Status(404, _)));
        let attempts: Vec<Attempted> = self.tried.into_iter().map(|(attempted, _)| attempted).collect();
        NoAnswer::Failed(if attempts.is_empty() {
            Failure::Busy { retry_after: COME_BACK }
        } else if without_it {
            Failure::ModelNotFound { model: self.model.clone(), near: Vec::new() }
        } else if down {
            Failure::NoUpstream { message: nobody_is_up(&attempts), attempts }
        } else if timed_out {
            Failure::UpstreamTimeout { attempts }
        } else {
            Failure::AllUpstreamsFailed { attempts }
        })
    }
}

fn nobody_is_up(attempts: &[Attempted]) -> String {
    let list =
        attempts.iter().map(|one| format!("{}: {}", one.peer, one.reason)).collect::<Vec<_>>().join("; ");
    let hint = if attempts.iter().any(|one| one.peer == "local") {
        "; start Ollama (`ollama serve`), or set OLLAMA_HOST to where it is"
    } else {
        ""
    };
    format!("nobody who may have this model is up: {list}{hint}")
}
