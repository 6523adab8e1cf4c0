//! The loop over attempts: the next upstream is asked as long as nothing of an answer went out.

mod introduction;
mod ordering;
mod tried;

use crate::{
    attempt::Ask,
    candidates::{Measured, Reachable, Sought},
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
    orders::Placed,
    outcome::{OpenStream, Outcome, Reason, Refusal, WholeAnswer},
    route::{self, Standing},
    slots::Slot,
    upstream::Upstream,
};
use protocol::{ModelName, Tier};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tried::{Tried, everybody_is_busy};

/// One request is tried at so many upstreams and no more.
pub const ATTEMPTS_MAX: usize = 16;

/// An upstream that is ready to answer, with its place kept until the answer is over.
pub struct Ready {
    pub upstream: Arc<Upstream>,
    pub outcome: ReadyOutcome,
    /// How many were tried, this one included.
    pub attempts: usize,
    pub slot: Slot,
    /// When it was asked.
    pub sent: Instant,
    /// The order that was sent along.
    pub order: Option<Box<Placed>>,
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
    seats: Vec<Seat>,
    tried: Tried,
    give_up_at: tokio::time::Instant,
    wanted: Wanted<'a>,
}

/// A candidate, and how far the search came with it.
struct Seat {
    /// Its group's place in the route.
    preference: usize,
    upstream: Arc<Upstream>,
    /// The request was sent to it, once at least.
    asked: bool,
    /// It is not tried any more.
    done: bool,
}

/// What the search is for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// By the name that the tool used.
    pub model: &'a ModelName,
    /// By the name that local, friends and network are asked for.
    pub asked_for: &'a ModelName,
    /// Of the endpoint.
    pub path: &'static str,
    pub streamed: bool,
    /// The label that is preferred.
    pub tier: Option<Tier>,
    /// The longest wait for a free upstream.
    pub max_wait: Duration,
    /// The longest answer that is ordered of a peer.
    pub output_max: u64,
    /// What says who has no room for the prompt.
    pub sought: Sought<'a>,
    pub prompt: &'a Measured<'a>,
}

enum Pick {
    Try(usize, Slot),
    /// Everybody left is busy; perhaps not after this time.
    Wait(Option<Instant>),
    Exhausted,
}

impl<'a> Search<'a> {
    /// `candidates` with their group's place in the route; not empty.
    pub fn new(node: &'a Node, candidates: Vec<Reachable>, wanted: Wanted<'a>) -> Self {
        let seat = |(preference, upstream)| Seat { preference, upstream, asked: false, done: false };
        let give_up_at = tokio::time::Instant::now() + wanted.max_wait;
        let seats = candidates.into_iter().map(seat).collect();
        Self { node, seats, tried: Tried::default(), give_up_at, wanted }
    }

    /// Asks one candidate after the other; `ask` makes the request for each.
    pub async fn run<'b>(
        mut self,
        down: &mut Downstream,
        ask: impl Fn(&Upstream) -> Ask<'b>,
    ) -> Result<Ready, NoAnswer> {
        while self.attempts() < ATTEMPTS_MAX {
            let (place, slot) = match self.pick() {
                Pick::Try(place, slot) => (place, slot),
                Pick::Wait(until) => match self.wait(down, until).await? {
                    Some(taken) => taken,
                    None => continue,
                },
                Pick::Exhausted => break,
            };
            let upstream = Arc::clone(&self.seats[place].upstream);
            if self.must_ask(place) {
                drop(slot);
                self.ask_strangers(down, place).await?;
                continue;
            }
            if let Some(too_long) = self.wanted.sought.has_no_room(&upstream, self.wanted.prompt) {
                self.set_aside(place, Reason::TooLong(too_long));
                continue;
            }
            let mut request = ask(&upstream);
            let sent = Instant::now();
            upstream.sent(sent);
            let work = self.ask_with_order(&upstream, &mut request);
            let (outcome, order) = down.attend(self.wanted.streamed, work).await?;
            self.seats[place].asked = true;
            let attempts = self.attempts();
            let outcome = match outcome {
                Outcome::Stream(open) => ReadyOutcome::Stream(open),
                Outcome::Whole(answer) => ReadyOutcome::Whole(answer),
                Outcome::Verdict(refusal) => {
                    self.seats[place].done = true;
                    self.node.metrics.attempt("verdict");
                    self.tried.heard(refusal, upstream, attempts)?;
                    continue;
                }
                Outcome::Next(reason) => {
                    let in_flight = upstream.lane.in_flight();
                    drop(slot);
                    self.note(place, reason, in_flight);
                    continue;
                }
            };
            upstream.succeeded();
            self.node.metrics.attempt("ready");
            return Ok(Ready { upstream, outcome, attempts, slot, sent, order: order.map(Box::new) });
        }
        let attempts = self.attempts();
        Err(self.tried.exhausted(self.wanted.model, self.wanted.path, attempts))
    }

    /// How many upstreams were asked, those that were busy included.
    fn attempts(&self) -> usize {
        self.seats.iter().filter(|seat| seat.asked).count()
    }

    fn pick(&self) -> Pick {
        let now = Instant::now();
        let open: Vec<usize> = (0..self.seats.len()).filter(|&place| !self.seats[place].done).collect();
        let view = |&place: &usize| self.seats[place].upstream.candidate(self.seats[place].preference, now);
        let mut views: Vec<_> = open.iter().map(view).collect();
        let spread = self.node.next_spread();
        while let Some(at) = route::choose(&views, self.wanted.tier, spread) {
            if views[at].standing() == Standing::Busy {
                break;
            }
            let lane = &self.seats[open[at]].upstream.lane;
            if let Some(slot) = self.node.slots.try_take(lane) {
                return Pick::Try(open[at], slot);
            }
            // Somebody else was quicker, or waits for it already.
            views[at].busy = true;
        }
        if open.is_empty() {
            return Pick::Exhausted;
        }
        let soonest =
            open.iter().filter_map(|&place| self.seats[place].upstream.busy_until()).filter(|&at| at > now);
        Pick::Wait(soonest.min())
    }

    /// Waits for room at any candidate that is left. `None`: look again.
    async fn wait(
        &self,
        down: &mut Downstream,
        until: Option<Instant>,
    ) -> Result<Option<(usize, Slot)>, NoAnswer> {
        if tokio::time::Instant::now() >= self.give_up_at {
            return Err(NoAnswer::Failed(everybody_is_busy()));
        }
        let now = Instant::now();
        let open = self.seats.iter().filter(|seat| !seat.done).map(|seat| &seat.upstream);
        // Who said "busy" is not asked before its time, room in its lane or not.
        let waitable = open.filter(|upstream| upstream.busy_until().is_none_or(|at| at <= now));
        let lanes: Vec<_> = waitable.map(|upstream| Arc::clone(&upstream.lane)).collect();
        let ticket = self.node.slots.queue(lanes);
        let ticket = ticket.map_err(|_| NoAnswer::Failed(everybody_is_busy()))?;
        let look_again = until.map_or(self.give_up_at, |at| self.give_up_at.min(at.into()));
        let slot =
            down.attend(self.wanted.streamed, tokio::time::timeout_at(look_again, ticket.slot())).await?;
        let Ok(Some(slot)) = slot else { return Ok(None) };
        let place = self.seats.iter().position(|seat| slot.is_in(&seat.upstream.lane));
        Ok(place.map(|place| (place, slot)))
    }

    fn note(&mut self, place: usize, reason: Reason, in_flight: usize) {
        let upstream = &self.seats[place].upstream;
        self.node.metrics.attempt("next");
        upstream.was_of_no_use(&reason, self.wanted.asked_for, in_flight, Instant::now());
        tracing::debug!(upstream = %upstream.name, %reason, "asking the next");
        if let Reason::Busy(_) = reason {
            // Not done with: it is waited for if nobody else is free.
            return;
        }
        self.set_aside(place, reason);
    }

    /// This one is not tried any more.
    fn set_aside(&mut self, place: usize, reason: Reason) {
        let seat = &mut self.seats[place];
        seat.done = true;
        self.tried.add(&seat.upstream, reason);
    }
}
