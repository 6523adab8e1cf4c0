//! What a stranger says of itself, as the choice, the metrics and reports have it. Pure.

use super::Stranger;
use crate::{
    breaker::Admission,
    observed::UNMEASURED,
    route::Candidate,
    upstream::{SaidOfItself, UNSAID_CONCURRENCY},
};
use discovery::roster::{Source, TakenIn};
use protocol::ModelName;
use std::time::{Duration, Instant};

/// What an answer is taken to have where only a speed is known.
const NOMINAL_TOKENS: f64 = 300.0;

/// In metrics, beside the labels of what is refused.
pub(super) fn label(taken_in: TakenIn) -> &'static str {
    match taken_in {
        TakenIn::New => "new",
        TakenIn::Newer { .. } => "newer",
        TakenIn::Known => "known",
        TakenIn::Older => "older",
        TakenIn::Gone => "gone",
        TakenIn::Withdrawn { .. } => "withdrawn",
        TakenIn::Noted => "noted",
        TakenIn::Ignored => "ignored",
        TakenIn::NoRoom => "no_room",
    }
}

/// How an entry looks to the choice: as it was seen, else as it says.
pub(super) fn candidate(entry: &Stranger, model: &ModelName, now: Instant) -> Candidate {
    if let Some(upstream) = entry.attached.get() {
        return upstream.candidate(0, now);
    }
    let room = entry.room;
    let limit = room.map_or(UNSAID_CONCURRENCY, |room| room.concurrency as usize);
    Candidate {
        preference: 0,
        admission: Admission::Admitting,
        up: true,
        in_flight: 0,
        limit,
        busy: false,
        tier: Some(entry.tier),
        others: room.map_or(0, |room| room.queue_depth as usize),
        concurrency: limit,
        service: service(entry, model).unwrap_or(UNMEASURED),
        lends: true,
        owes_us: false,
    }
}

pub(super) fn said(entry: &Stranger, model: &ModelName) -> SaidOfItself {
    SaidOfItself {
        at: entry.announced_at,
        tier: entry.tier,
        room: entry.room.map(|room| (room.concurrency as usize, room.queue_depth as usize)),
        service: service(entry, model),
    }
}

fn service(entry: &Stranger, model: &ModelName) -> Option<Duration> {
    let speed = entry.offer(model)?.tokens_per_second()?.get();
    Duration::try_from_secs_f64(NOMINAL_TOKENS / speed).ok()
}

/// The word for where a stranger was heard of.
pub fn source(entry: &Stranger) -> &'static str {
    match entry.source {
        Source::Nostr => "nostr",
        Source::Tracker => "tracker",
    }
}
