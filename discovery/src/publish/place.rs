//! One relay or tracker, told what the node offers for as long as the node runs.

use super::{
    PublishState, Standing,
    mint::{Mint, Minted},
    offer::Offer,
    rhythm::{Outcome, Rhythm, Step, Tempo},
};
use crate::{
    relays::{NotSent, Relays},
    tracker::{self, TrackerError},
};
use nostr_sdk::EventId;
use std::{collections::VecDeque, future::pending, sync::Arc};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Events that a deletion names. A relay has at most the last one, and who heard of it too; the
/// ones before are for answers that were lost.
const REMEMBERED_MAX: usize = 4;

/// How a place is told.
#[derive(Debug)]
pub(crate) enum Way {
    Relay { relays: Arc<Relays>, openings: watch::Receiver<u64> },
    Tracker(tracker::Client),
}

/// The place's line in what all can see.
#[derive(Debug)]
pub(crate) struct Board {
    states: Arc<watch::Sender<Vec<PublishState>>>,
    nth: usize,
}

impl Board {
    pub(crate) fn new(states: Arc<watch::Sender<Vec<PublishState>>>, nth: usize) -> Self {
        Self { states, nth }
    }

    /// Writes it down, and into the log what is new about it.
    fn write(&self, standing: Standing) {
        self.states.send_if_modified(|states| {
            let Some(state) = states.get_mut(self.nth) else { return false };
            let place = &state.place;
            match (&state.standing, &standing) {
                (Standing::Failed { why: before, .. }, Standing::Failed { why, .. }) if before == why => {
                    return false;
                }
                (_, Standing::Failed { why, .. }) => {
                    tracing::warn!(%place, why, "not as it should be announced")
                }
                (Standing::Announced { .. }, Standing::Announced { .. }) | (_, Standing::Waiting) => {}
                (_, Standing::Announced { .. }) => tracing::info!(%place, "announced"),
                (_, Standing::Withdrawn { .. }) => tracing::info!(%place, "announcement taken back"),
            }
            state.standing = standing;
            true
        });
    }
}

#[derive(Debug)]
pub(crate) struct Place {
    url: Url,
    way: Way,
    mint: Arc<Mint>,
    board: Board,
    tempo: Tempo,
    /// What it may have of us: the latest last.
    sent: VecDeque<Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    event: EventId,
    created_at: nostr_sdk::Timestamp,
    expires_at: Instant,
}

impl Place {
    pub(crate) fn new(url: Url, way: Way, mint: Arc<Mint>, board: Board, tempo: Tempo) -> Self {
        Self { url, way, mint, board, tempo, sent: VecDeque::new() }
    }

    /// Until `stopping`; then what was announced is taken back.
    pub(crate) async fn keep(
        mut self,
        mut offers: watch::Receiver<Option<Offer>>,
        stopping: CancellationToken,
    ) {
        let _ = stopping.run_until_cancelled(self.follow(&mut offers)).await;
        // What was being said when the time came may have been heard.
        if !self.sent.is_empty() {
            let withdrawing = timeout(self.tempo.leaving_max, self.withdraw()).await;
            let outcome = withdrawing.unwrap_or_else(|_| Outcome::Failed("no answer in time".into()));
            self.write_withdrawn(&outcome);
        }
    }

    async fn follow(&mut self, offers: &mut watch::Receiver<Option<Offer>>) {
        let mut rhythm = Rhythm::new(self.tempo);
        loop {
            let offer = offers.borrow_and_update().clone();
            match (rhythm.step(offer.as_ref(), Instant::now()), offer) {
                (Step::Announce { oldest }, Some(offer)) => {
                    self.announce(&mut rhythm, &offer, oldest).await;
                }
                (Step::Announce { .. } | Step::Withdraw, _) => {
                    let outcome = self.withdraw().await;
                    rhythm.withdrawn(&outcome, Instant::now());
                    self.write_withdrawn(&outcome);
                }
                (Step::Wait(until), _) => tokio::select! {
                    () = changed(offers) => rhythm.offer_changed(),
                    () = self.way.connected_anew() => rhythm.connected_anew(),
                    () = until_then(until) => {}
                },
            }
        }
    }

    async fn announce(&mut self, rhythm: &mut Rhythm, offer: &Offer, oldest: Instant) {
        let (made_at, outcome) = match self.mint.announcement(offer, oldest) {
            Ok(minted) => (minted.at, self.tell(&minted).await),
            Err(why) => {
                // What it has is no longer offered.
                if !self.sent.is_empty() {
                    let outcome = self.withdraw().await;
                    rhythm.withdrawn(&outcome, Instant::now());
                }
                (Instant::now(), Outcome::NotTried(why.to_string()))
            }
        };
        rhythm.announced(offer, made_at, &outcome, Instant::now());
        let at = self.mint.now();
        self.board.write(match outcome {
            Outcome::Done => Standing::Announced { at },
            Outcome::TooEarly => return,
            Outcome::NotTried(why) | Outcome::Failed(why) | Outcome::Refused(why) => {
                Standing::Failed { why, at }
            }
        });
    }

    async fn tell(&mut self, minted: &Minted) -> Outcome {
        // Before it is sent: should the node stop meanwhile, it may have been heard.
        let is_new = self.remember(minted);
        let outcome = match &mut self.way {
            Way::Relay { relays, openings } => {
                openings.mark_unchanged();
                let relays = Arc::clone(relays);
                self.delete_from_the_future(&relays, minted).await;
                of_relay(relays.send(&self.url, &minted.event).await)
            }
            Way::Tracker(client) => of_tracker(client.announce(&minted.announcement).await),
        };
        if is_new && matches!(outcome, Outcome::TooEarly | Outcome::NotTried(_)) {
            self.sent.pop_back();
        }
        outcome
    }

    /// What was dated ahead, by a clock that was put back since, would hide what is dated rightly.
    async fn delete_from_the_future(&mut self, relays: &Relays, minted: &Minted) {
        let is_ahead = |sent: &Sent| sent.created_at > minted.event.created_at;
        let ahead: Vec<EventId> =
            self.sent.iter().filter(|sent| is_ahead(sent)).map(|sent| sent.event).collect();
        if !ahead.is_empty() {
            let deletion = self.mint.deletion_before(minted, &ahead);
            if matches!(of_relay(relays.send(&self.url, &deletion).await), Outcome::Done) {
                self.sent.retain(|sent| !is_ahead(sent));
            }
        }
    }

    /// Gives whether it was not remembered already.
    fn remember(&mut self, minted: &Minted) -> bool {
        let event = &minted.event;
        let is_new = self.sent.back().is_none_or(|last| last.event != event.id);
        if is_new {
            let expires_at = minted.at + minted.offer.ttl;
            self.sent.push_back(Sent { event: event.id, created_at: event.created_at, expires_at });
            if self.sent.len() > REMEMBERED_MAX {
                self.sent.pop_front();
            }
        }
        is_new
    }

    async fn withdraw(&mut self) -> Outcome {
        let now = Instant::now();
        self.sent.retain(|sent| sent.expires_at > now);
        if self.sent.is_empty() {
            return Outcome::Done;
        }
        let outcome = match &self.way {
            Way::Relay { relays, .. } => {
                let events: Vec<EventId> = self.sent.iter().map(|sent| sent.event).collect();
                of_relay(relays.send(&self.url, &self.mint.deletion(&events)).await)
            }
            Way::Tracker(client) => of_tracker(client.unannounce(&self.mint.unannounce()).await),
        };
        if matches!(outcome, Outcome::Done) {
            self.sent.clear();
        }
        outcome
    }

    fn write_withdrawn(&self, outcome: &Outcome) {
        let at = self.mint.now();
        self.board.write(match outcome {
            Outcome::Done => Standing::Withdrawn { at },
            Outcome::TooEarly => return,
            Outcome::NotTried(why) | Outcome::Failed(why) | Outcome::Refused(why) => {
                Standing::Failed { why: format!("the announcement was not taken back: {why}"), at }
            }
        });
    }
}

impl Way {
    /// Returns when a relay is connected anew; of a tracker there is no telling.
    async fn connected_anew(&mut self) {
        let again = match self {
            Way::Relay { openings, .. } => openings.changed().await.is_ok(),
            Way::Tracker(_) => false,
        };
        if !again {
            pending().await
        }
    }
}

fn of_relay(result: Result<(), NotSent>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        // It has it, which some relays think is no reason to say yes.
        Err(NotSent::Refused(why)) if why.starts_with("duplicate:") => Outcome::Done,
        Err(NotSent::Refused(why)) => Outcome::Refused(format!("refused: {why}")),
        Err(error @ NotSent::NoAnswer(_)) => Outcome::Failed(error.to_string()),
        Err(NotSent::NotYet) => Outcome::TooEarly,
        Err(error @ (NotSent::NotConnected(_) | NotSent::Unknown(_))) => Outcome::NotTried(error.to_string()),
    }
}

fn of_tracker<T>(result: Result<T, TrackerError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error @ TrackerError::Refused(_)) => Outcome::Refused(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Whoever made the offers and is gone will change them no more.
async fn changed(offers: &mut watch::Receiver<Option<Offer>>) {
    if offers.changed().await.is_err() {
        pending().await
    }
}

async fn until_then(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
