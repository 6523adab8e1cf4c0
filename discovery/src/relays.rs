//! The Nostr relays of a node: connections that come back, one subscription each to announcements
//! and departures, and a way to publish.
//!
//! nostr-sdk keeps the connections: it connects again with a pause that grows to a minute, pings,
//! authenticates (NIP-42) and waits for a relay's answer to an event. What arrives is taken in by
//! `sieve.rs` before the SDK sees it and goes straight to the [`Ear`]; what is asked is decided by
//! `ask.rs`, so that a relay that ends a subscription is asked again.
//!
//! One relay's flood, silence or garbage costs the others nothing: each has its own task, bounds and
//! counts. Nothing is logged for what a relay sends, only that it comes and goes. The SDK's own log
//! says that again, as errors: turn its targets `nostr_relay_pool` and `nostr_sdk` off.

mod ask;
mod backoff;
pub(crate) mod bucket;
mod check;
mod ear;
mod frame;
mod gather;
mod keeper;
mod line;
mod sieve;
mod socket;
mod transport;
mod wire;

pub use ask::FOLLOWED_MAX;
pub(crate) use backoff::Backoff;
pub use check::{CheckStep, ClockDifference, RelayCheck, Step, StepFailed, check};
pub use ear::{DeafEar, Ear, Garbage};
pub(crate) use frame::words;
pub use gather::{Gathered, NotGathered, Question, gather};
pub use nostr_sdk::{Event, EventId, Keys, PublicKey};
pub use socket::NoConnection;
pub use wire::Broken;

use bucket::Rate;
use keeper::Keeper;
use line::Line;
use nostr_sdk::{
    Client, ClientOptions, Relay, RelayOptions,
    pool::relay::Error as PoolError,
    prelude::{MemoryDatabase, MemoryDatabaseOptions},
};
use protocol::{NostrKeypair, Timestamp, nostr_key::NotANostrKey};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use transport::Transport;
use url::Url;

/// More relays than this are refused: each costs a connection, and every event comes once from each.
pub const RELAYS_MAX: usize = 32;

/// A longer frame is garbage. Of an event that is taken in, content and tags have at most 16 KiB each
/// ([`protocol::limits::EVENT_CONTENT_BYTES_MAX`]), which escaping may double.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// What is read of one relay; what comes faster is dropped and counted. The burst is for the stored
/// events at the start; at this rate a relay costs at most an eighth of a core.
const FRAMES_PER_SECOND: Rate = Rate::per_second(1000, 20_000);

/// How long closing connections may take when it is time to go.
const CLOSING: Duration = Duration::from_secs(2);

/// Ids that the SDK remembers of what we publish; it needs none.
const REMEMBERED_IDS: usize = 64;

/// How patient the connections are. The default is right but for tests.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first pause before connecting again, ± 3 s; grows to about a minute.
    pub reconnect: Duration,
    /// A relay that sends nothing for so long, not even the answer to a ping (one every 55 s), is
    /// connected to anew.
    pub silence: Duration,
    /// The first rest after a relay ended a subscription; doubles up to 10 min.
    pub rest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            reconnect: Duration::from_secs(5),
            silence: Duration::from_secs(90),
            rest: Duration::from_secs(5),
        }
    }
}

/// What [`Relays::connect`] needs to know.
#[derive(Debug)]
pub struct Setup {
    /// `wss://` or `ws://`; at most [`RELAYS_MAX`]. One that stands twice counts once.
    pub urls: Vec<Url>,
    /// Who hears what they send.
    pub ear: Arc<dyn Ear>,
    /// Whom to authenticate as where a relay wants that (NIP-42). `None`: nobody.
    pub keys: Option<Keys>,
    /// The wall clock, for how far back to ask.
    pub clock: fn() -> Timestamp,
    /// How patient to be.
    pub pace: Pace,
}

/// Why there are no relays.
#[derive(Debug, thiserror::Error)]
pub enum BadRelays {
    /// Not a relay's URL.
    #[error("{0} is no relay's address; it starts with wss:// or ws://")]
    NotARelay(Url),
    /// More than [`RELAYS_MAX`].
    #[error("{0} relays are too many; name at most {RELAYS_MAX}")]
    TooMany(usize),
}

/// Why an event is not at a relay.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// Not one of ours.
    #[error("{0} is not one of the relays")]
    Unknown(Url),
    /// The first connection is still being made.
    #[error("not connected yet")]
    NotYet,
    /// There is no connection now, and why.
    #[error("not connected: {0}")]
    NotConnected(String),
    /// The relay does not want the event; in its words.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection failed, or no answer came within 10 s.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// How one relay does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayState {
    /// Which.
    pub url: Url,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Whether it said that all stored announcements were sent, on this connection.
    pub caught_up: bool,
    /// What last went wrong, even if that is mended.
    pub last_error: Option<String>,
    /// The last notice, in its words: at most 200 characters, printable.
    pub notice: Option<String>,
    /// Events handed to the [`Ear`].
    pub events_heard: u64,
    /// Events that the [`Ear`] knew.
    pub events_repeated: u64,
    /// See [`Garbage`].
    pub garbage: u64,
    /// Frames that came faster than they are read.
    pub shed: u64,
}

/// Connections to relays, until [`Relays::stop`] or until it is dropped.
#[derive(Debug)]
pub struct Relays {
    keeper: Arc<Keeper>,
    client: Client,
    connections: TaskTracker,
    stopping: CancellationToken,
}

impl Relays {
    /// Starts connecting to all of them, in the background, and goes on trying. Asks for nothing yet.
    ///
    /// Must be called inside a tokio runtime. Our own task is on `tasks`; the SDK's, one a relay,
    /// end with [`Relays::stop`].
    pub async fn connect(setup: Setup, tasks: &TaskTracker) -> Result<Self, BadRelays> {
        let urls = checked(setup.urls)?;
        let changed = Arc::new(Notify::new());
        let line = |url: &Url| {
            Arc::new(Line::new(url.clone(), Arc::clone(&setup.ear), Arc::clone(&changed), &setup.pace))
        };
        let lines: HashMap<Url, Arc<Line>> = urls.iter().map(|url| (url.clone(), line(url))).collect();
        let connections = TaskTracker::new();
        connections.close();
        let transport =
            Transport { lines: lines.clone(), silence: setup.pace.silence, connections: connections.clone() };
        let client = client(setup.keys, transport);
        let mut relays = Vec::new();
        for url in urls {
            let relay = add(&client, &url, &setup.pace).await.ok_or(BadRelays::NotARelay(url.clone()))?;
            relays.push((Arc::clone(&lines[&url]), relay));
        }
        let keeper = Arc::new(Keeper::new(relays, changed, setup.clock));
        let stopping = CancellationToken::new();
        tasks.spawn(Arc::clone(&keeper).run(stopping.clone()));
        client.connect().await;
        Ok(Self { keeper, client, connections, stopping })
    }

    /// Asks every relay, now and whenever it is connected anew, for all live announcements, new ones
    /// as they come, and deletions that name their kind.
    pub fn subscribe(&self) {
        self.keeper.want(|wanted| wanted.announcements());
    }

    /// Asks also for deletions by these keys, instead of by those named before: the Nostr keys of
    /// known strangers whose departure is worth knowing at once. The first [`FOLLOWED_MAX`] count.
    ///
    /// Each call with other keys costs a message to each relay: call it every minute or so.
    pub fn follow(&self, authors: impl IntoIterator<Item = PublicKey>) {
        self.keeper.want(|wanted| {
            wanted.departures(authors);
        });
    }

    /// How each of them does, in the order in which they were given.
    pub fn states(&self) -> Vec<RelayState> {
        self.keeper.relays().map(|(line, _)| line.state()).collect()
    }

    /// The number of connections there have been to this relay: changes when it is connected anew,
    /// and may have forgotten what it was sent.
    pub fn openings(&self, url: &Url) -> Option<watch::Receiver<u64>> {
        self.keeper.find(url).map(|(line, _)| line.openings())
    }

    /// Sends an event to one relay, and waits at most 10 s for its answer.
    pub async fn send(&self, url: &Url, event: &Event) -> Result<(), NotSent> {
        let (line, relay) = self.keeper.find(url).ok_or_else(|| NotSent::Unknown(url.clone()))?;
        if !line.is_open() {
            return Err(line.last_error().map_or(NotSent::NotYet, NotSent::NotConnected));
        }
        match relay.send_event(event).await {
            Ok(_) => Ok(()),
            Err(PoolError::RelayMessage(why)) => Err(NotSent::Refused(words(&why))),
            Err(error) => Err(NotSent::NoAnswer(words(&error.to_string()))),
        }
    }

    /// Closes all connections: each within 2 s, or not at all.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.keeper.relays().for_each(|(line, _)| line.leave());
        self.client.shutdown().await;
        if timeout(CLOSING, self.connections.wait()).await.is_err() {
            tracing::debug!("some relays took too long to say goodbye");
        }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        // The SDK disconnects by itself when its last handle goes; the keeper holds some.
        self.stopping.cancel();
    }
}

/// A node's Nostr keys as the SDK has them. Does not fail for a pair that is one.
pub fn keys(pair: &NostrKeypair) -> Result<Keys, NotANostrKey> {
    Keys::parse(&pair.secret_hex()).map_err(|_| NotANostrKey)
}

fn checked(urls: Vec<Url>) -> Result<Vec<Url>, BadRelays> {
    let mut checked: Vec<Url> = Vec::new();
    for url in urls {
        if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
            return Err(BadRelays::NotARelay(url));
        }
        if !checked.contains(&url) {
            checked.push(url);
        }
    }
    if checked.len() > RELAYS_MAX { Err(BadRelays::TooMany(checked.len())) } else { Ok(checked) }
}

fn client(keys: Option<Keys>, transport: Transport) -> Client {
    let remembered = MemoryDatabaseOptions { events: false, max_events: Some(REMEMBERED_IDS) };
    let builder = Client::builder()
        .websocket_transport(transport)
        .database(MemoryDatabase::with_opts(remembered))
        .opts(ClientOptions::new().automatic_authentication(keys.is_some()));
    match keys {
        Some(keys) => builder.signer(keys).build(),
        None => builder.build(),
    }
}

async fn add(client: &Client, url: &Url, pace: &Pace) -> Option<Relay> {
    let options = RelayOptions::new().retry_interval(pace.reconnect);
    client.pool().add_relay(url.as_str(), options).await.ok()?;
    client.relay(url.as_str()).await.ok()
}
