//! Keeps this node's announcement fresh wherever it is published, and takes it back.
//!
//! Each relay and tracker (a *place*) has a loop of its own (`place.rs`), so that a dead one delays
//! nobody; when it is time is decided by `rhythm.rs`, which is pure. All places share one signed
//! announcement (`mint.rs`): who listens to three relays checks two signatures, not six.

mod announceable;
mod mint;
mod offer;
mod place;
mod rhythm;

pub use announceable::{NotAnnounceable, Reach, announceable};
pub use mint::Dates;
pub use offer::{Offer, PROTOCOL};
pub use rhythm::Tempo;

use crate::{relays::Relays, tracker};
use futures::future::join_all;
use mint::Mint;
use nostr_sdk::Keys;
use place::{Board, Place, Way};
use protocol::{Keypair, Timestamp};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

/// What a [`Publisher`] needs.
#[derive(Debug)]
pub struct Setup {
    /// The node: signs the announcement.
    pub keypair: Keypair,
    /// Its Nostr keys: sign the events, and are the only ones that may.
    pub keys: Keys,
    /// Where to publish: all of them. They are to be stopped after the publisher.
    pub relays: Arc<Relays>,
    /// And these.
    pub trackers: Vec<tracker::Client>,
    /// Who is meant to reach the announced URL.
    pub reach: Reach,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// The dates that this node has given, whichever publisher gave them.
    pub dates: Dates,
    /// How often. The default is right but for tests.
    pub tempo: Tempo,
}

/// How it stands with one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishState {
    /// The relay or tracker.
    pub place: Url,
    /// How it went.
    pub standing: Standing,
}

/// What a place has of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was tried yet.
    Waiting,
    /// It took the announcement.
    Announced {
        /// When.
        at: Timestamp,
    },
    /// It has none, or an older one. It is tried again.
    Failed {
        /// What is wrong, and where it can be, what to do.
        why: String,
        /// Since when.
        at: Timestamp,
    },
    /// It took the announcement back, or let it expire.
    Withdrawn {
        /// When.
        at: Timestamp,
    },
}

impl Standing {
    /// Whether others find us there: `None` if nothing was tried, or there is nothing to find.
    pub fn ok(&self) -> Option<bool> {
        match self {
            Standing::Announced { .. } => Some(true),
            Standing::Failed { .. } => Some(false),
            Standing::Waiting | Standing::Withdrawn { .. } => None,
        }
    }
}

/// Publishes what the node offers.
#[derive(Debug)]
pub struct Publisher {
    mint: Arc<Mint>,
    ways: Vec<(Url, Way)>,
    states: watch::Sender<Vec<PublishState>>,
    tempo: Tempo,
}

impl Publisher {
    /// Publishes nothing yet.
    pub fn new(setup: Setup) -> Self {
        let ways = ways(&setup.relays, setup.trackers);
        let waiting =
            |(place, _): &(Url, Way)| PublishState { place: place.clone(), standing: Standing::Waiting };
        let states = watch::Sender::new(ways.iter().map(waiting).collect());
        let mint = Arc::new(Mint::new(setup.keypair, setup.keys, setup.reach, setup.clock, setup.dates));
        Self { mint, ways, states, tempo: setup.tempo }
    }

    /// How it stands everywhere, relays first; follows what happens.
    pub fn states(&self) -> watch::Receiver<Vec<PublishState>> {
        self.states.subscribe()
    }

    /// Publishes what `offers` holds: at once, when it changes materially (but at most every 5 s), and
    /// at every half of its time to live (but at most every 30 s). `None` takes it back.
    ///
    /// Runs until `stopping`; then takes the announcement back everywhere at the same time, for at
    /// most 3 s, and returns.
    pub async fn run(self, offers: watch::Receiver<Option<Offer>>, stopping: CancellationToken) {
        let states = Arc::new(self.states);
        let places = self.ways.into_iter().enumerate().map(|(nth, (url, way))| {
            let board = Board::new(Arc::clone(&states), nth);
            let place = Place::new(url, way, Arc::clone(&self.mint), board, self.tempo);
            place.keep(offers.clone(), stopping.clone())
        });
        tokio::join!(join_all(places), stopping.cancelled());
    }
}

fn ways(relays: &Arc<Relays>, trackers: Vec<tracker::Client>) -> Vec<(Url, Way)> {
    let relay = |state: crate::relays::RelayState| {
        let openings = relays.openings(&state.url)?;
        Some((state.url, Way::Relay { relays: Arc::clone(relays), openings }))
    };
    let tracker = |client: tracker::Client| (client.url().clone(), Way::Tracker(client));
    relays.states().into_iter().filter_map(relay).chain(trackers.into_iter().map(tracker)).collect()
}
