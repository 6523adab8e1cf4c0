//! What the promises are told with: a relay that a test plays, an ear that keeps a notebook.

use discovery::{
    event,
    relays::{Ear, Garbage, Pace, Relays, Setup},
};
use futures::{SinkExt, StreamExt};
use nostr_sdk::{Event, EventId, JsonUtil, Keys};
use parking_lot::Mutex;
use protocol::{Announcement, Keypair, Tier, Timestamp, Verified};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use tokio_util::task::TaskTracker;
use url::Url;

/// How long a test waits for what must come. A machine under load takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node calls its subscription to announcements.
pub(crate) const LIVE: &str = "lobstah";

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

#[expect(clippy::disallowed_methods, reason = "tests meet real relays, which have real clocks")]
pub(crate) fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

/// A node's announcement made now.
pub(crate) fn announcement(seed: u8) -> Verified<Announcement> {
    let key = Keypair::from_seed(&[seed; 32]);
    let body = Announcement {
        node: key.node_id(),
        url: format!("https://node{seed}.example:17474").parse().unwrap(),
        ttl_seconds: 300,
        announced_at: clock(),
        label: None,
        models: None,
        tier: Tier::BestEffort,
        capacity: None,
        prices: None,
        protocol: 2,
        nostr_pubkey: None,
    };
    Verified::sign(body, &key).unwrap()
}

/// The same as an event of some Nostr key.
pub(crate) fn announced(seed: u8) -> Event {
    event::announcement_event(&announcement(seed), &Keys::generate(), clock().as_millis() / 1000)
}

/// Writes down what it hears, and tells who waits.
#[derive(Debug)]
pub(crate) struct Notebook {
    pages: Mutex<Pages>,
    turned: watch::Sender<()>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    pub(crate) events: Vec<(Url, Event)>,
    pub(crate) garbage: Vec<Garbage>,
}

impl Notebook {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { pages: Mutex::default(), turned: watch::Sender::new(()) })
    }

    pub(crate) fn pages(&self) -> Pages {
        self.pages.lock().clone()
    }

    fn write(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.pages.lock());
        self.turned.send_replace(());
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Pages) -> bool) -> Pages {
        let mut turned = self.turned.subscribe();
        let reading = turned.wait_for(|()| condition(&self.pages.lock()));
        soon(what, reading).await.unwrap();
        self.pages()
    }

    pub(crate) async fn heard(&self, event: &Event) {
        self.until("an event", |pages| pages.events.iter().any(|(_, heard)| heard.id == event.id)).await;
    }
}

impl Ear for Notebook {
    fn knows(&self, id: &EventId) -> bool {
        self.pages.lock().events.iter().any(|(_, event)| event.id == *id)
    }

    fn hear(&self, relay: &Url, event: Event) {
        self.write(|pages| pages.events.push((relay.clone(), event)));
    }

    fn garbage(&self, _relay: &Url, garbage: Garbage) {
        self.write(|pages| pages.garbage.push(garbage));
    }
}

/// Relays that listen with a notebook, in a hurry.
pub(crate) struct Listening {
    pub(crate) relays: Relays,
    pub(crate) notebook: Arc<Notebook>,
    pub(crate) tasks: TaskTracker,
}

impl Listening {
    pub(crate) async fn to(urls: &[&Url]) -> Self {
        Self::with(urls, Pace { reconnect: Duration::from_secs(1), ..Pace::default() }, None).await
    }

    pub(crate) async fn with(urls: &[&Url], pace: Pace, keys: Option<Keys>) -> Self {
        let (notebook, tasks) = (Notebook::new(), TaskTracker::new());
        let urls = urls.iter().map(|url| (*url).clone()).collect();
        let setup = Setup { urls, ear: Arc::clone(&notebook) as _, keys, clock, pace };
        let relays = Relays::connect(setup, &tasks).await.unwrap();
        relays.subscribe();
        Self { relays, notebook, tasks }
    }

    /// Waits until the states of the relays are so.
    pub(crate) async fn until(
        &self,
        what: &str,
        condition: impl Fn(&[discovery::relays::RelayState]) -> bool,
    ) {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        soon(what, async {
            while !condition(&self.relays.states()) {
                ticks.tick().await;
            }
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.relays.stop().await;
        self.tasks.close();
        soon("the tasks to end", self.tasks.wait()).await;
    }
}

/// A relay whose every word a test says.
pub(crate) struct Played {
    listener: TcpListener,
    address: SocketAddr,
    pub(crate) url: Url,
}

impl Played {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address, url: format!("ws://{address}").parse().unwrap() }
    }

    /// Dies, and leaves its port to the next.
    pub(crate) fn die(self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn visitor(&self) -> Visitor {
        let (tcp, _) = soon("a visitor", self.listener.accept()).await.unwrap();
        Visitor(soon("a handshake", accept_async(tcp)).await.unwrap())
    }

    /// A connection that is taken and never answered.
    pub(crate) async fn ignored_visitor(&self) -> TcpStream {
        soon("a visitor", self.listener.accept()).await.unwrap().0
    }
}

/// One connection to a played relay.
pub(crate) struct Visitor(pub(crate) WebSocketStream<TcpStream>);

impl Visitor {
    /// What it says next: `["REQ",…]`, `["EVENT",…]`, `["AUTH",…]`.
    pub(crate) async fn says(&mut self) -> Value {
        loop {
            let message = soon("the visitor's words", self.0.next()).await.expect("it left").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The id of its question.
    pub(crate) async fn asks(&mut self) -> String {
        let question = self.says().await;
        assert_eq!(question[0], "REQ", "{question}");
        question[1].as_str().unwrap().to_owned()
    }

    /// The event that it publishes.
    pub(crate) async fn publishes(&mut self) -> Event {
        let message = self.says().await;
        assert_eq!(message[0], "EVENT", "{message}");
        Event::from_json(message[1].to_string()).unwrap()
    }

    pub(crate) async fn tell(&mut self, message: Value) {
        self.tell_raw(message.to_string()).await;
    }

    pub(crate) async fn tell_raw(&mut self, text: String) {
        soon("room to write", self.0.send(Message::text(text))).await.unwrap();
    }

    pub(crate) async fn show(&mut self, subscription: &str, event: &Event) {
        self.tell(json!(["EVENT", subscription, event])).await;
    }

    /// Reads on until it leaves, whatever it says.
    pub(crate) async fn leaves(mut self) {
        soon("the visitor to leave", async { while let Some(Ok(_)) = self.0.next().await {} }).await;
    }
}
