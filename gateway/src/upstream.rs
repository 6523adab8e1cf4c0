//! One upstream: who it is, how it is reached, how it fares, how much room it has.

mod faring;

pub use faring::BUSY_MAX;

use crate::{
    inventory::{Capacity, Inventory, Model},
    slots::Lane,
    target::{Destination, NotADestination},
};
use arc_swap::ArcSwap;
use config::{Glob, Target as Group};
use discovery::Trust;
use faring::Health;
use http::HeaderValue;
use parking_lot::Mutex;
use protocol::{ModelName, NodeId, Tier, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use url::Url;

/// A peer that does not say how much it takes (a version 1 worker), and any other server, is given so
/// many at once.
pub const UNSAID_CONCURRENCY: usize = 64;

/// Who an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The owner's own Ollama.
    Local,
    /// A worker that the owner listed, and what its owner calls it.
    Friend { node: NodeId, label: Option<String> },
    /// A worker found on a relay or a tracker, and what it calls itself.
    Stranger { node: NodeId, label: Option<String> },
    /// Another OpenAI-compatible server, by its name in `[[upstreams]]`.
    Server { name: String },
}

/// What only `[[upstreams]]` have.
#[derive(Debug)]
pub struct Server {
    /// As it was configured, to see whether a reload changed it.
    pub config: config::Upstream,
    /// `Bearer …`, marked so that nothing prints it.
    pub authorization: Option<HeaderValue>,
}

/// What a stranger announces.
#[derive(Clone, Copy, Debug)]
pub struct SaidOfItself {
    pub at: Timestamp,
    pub tier: Tier,
    /// How many it works on at once, and how many are in it.
    pub room: Option<(usize, usize)>,
    /// How long it takes for one.
    pub service: Option<Duration>,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    pub identity: Identity,
    /// As `x-lobstah-worker` has it.
    pub name: String,
    pub url: Url,
    pub destination: Destination,
    pub lane: Arc<Lane>,
    pub server: Option<Server>,
    inventory: ArcSwap<Inventory>,
    health: Mutex<Health>,
    /// When it was last asked what it has; held while that is under way.
    pub(crate) probed: tokio::sync::Mutex<Option<Instant>>,
    /// When it announced itself, as far as it was looked at: Unix milliseconds.
    announced_at: AtomicU64,
    /// How often it came back from the dead.
    lives: AtomicU64,
    owes_us: AtomicBool,
}

impl Upstream {
    /// The owner's own Ollama. Fails if the URL cannot be dialled, as the others do.
    pub fn local(config: &config::Ollama) -> Result<Arc<Self>, NotADestination> {
        Self::new(Identity::Local, &config.url, Trust::Own, config.concurrency, None)
    }

    /// The worker of a friend.
    pub fn friend(node: NodeId, url: &Url, label: Option<String>) -> Result<Arc<Self>, NotADestination> {
        Self::new(Identity::Friend { node, label }, url, Trust::Friend, UNSAID_CONCURRENCY, None)
    }

    /// The worker of somebody who announced it.
    pub fn stranger(
        node: NodeId,
        url: &Url,
        label: Option<String>,
        trust: Trust,
    ) -> Result<Arc<Self>, NotADestination> {
        Self::new(Identity::Stranger { node, label }, url, trust, UNSAID_CONCURRENCY, None)
    }

    /// Another OpenAI-compatible server.
    pub fn server(config: &config::Upstream) -> Result<Arc<Self>, NotADestination> {
        let authorization = config.api_key.as_ref().and_then(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let server = Server { config: config.clone(), authorization };
        let identity = Identity::Server { name: config.name.clone() };
        let upstream = Self::new(identity, &config.url, Trust::Own, UNSAID_CONCURRENCY, Some(server))?;
        // What its globs name is what it has; whether it is up is seen when it is asked.
        upstream.set_inventory(Inventory::answered(Vec::new()));
        Ok(upstream)
    }

    fn new(
        identity: Identity,
        url: &Url,
        trust: Trust,
        limit: usize,
        server: Option<Server>,
    ) -> Result<Arc<Self>, NotADestination> {
        let name = match &identity {
            Identity::Local => "local".to_owned(),
            Identity::Friend { node, .. } | Identity::Stranger { node, .. } => node.to_string(),
            Identity::Server { name } => name.clone(),
        };
        Ok(Arc::new(Self {
            identity,
            name,
            url: url.clone(),
            destination: Destination::new(url, trust)?,
            lane: Lane::new(limit),
            server,
            inventory: ArcSwap::default(),
            health: Mutex::default(),
            probed: tokio::sync::Mutex::default(),
            announced_at: AtomicU64::default(),
            lives: AtomicU64::default(),
            owes_us: AtomicBool::default(),
        }))
    }

    /// What its owner calls it, for people.
    pub fn display_name(&self) -> String {
        match &self.identity {
            Identity::Local => "Ollama".into(),
            Identity::Friend { node, label } | Identity::Stranger { node, label } => {
                label.clone().unwrap_or_else(|| node.short())
            }
            Identity::Server { name } => name.clone(),
        }
    }

    /// Whether the owner chose it as his own: believed, and no receipts.
    pub fn is_own(&self) -> bool {
        self.node().is_none()
    }

    /// Whether it announced itself.
    pub fn is_stranger(&self) -> bool {
        matches!(self.identity, Identity::Stranger { .. })
    }

    /// Its key, if it is a peer.
    pub fn node(&self) -> Option<NodeId> {
        match self.identity {
            Identity::Friend { node, .. } | Identity::Stranger { node, .. } => Some(node),
            Identity::Local | Identity::Server { .. } => None,
        }
    }

    /// The group by which a route reaches it.
    pub fn is_in(&self, group: &Group) -> bool {
        match (&self.identity, group) {
            (Identity::Local, Group::Local)
            | (Identity::Friend { .. }, Group::Friends)
            | (Identity::Stranger { .. }, Group::Network) => true,
            (Identity::Server { name }, Group::Upstream(wanted)) => name == wanted,
            _ => false,
        }
    }

    /// Whether it is the same one, reached in the same way: what is known of it stays true.
    pub fn is_same_as(&self, other: &Upstream) -> bool {
        let config = |upstream: &Upstream| upstream.server.as_ref().map(|server| server.config.clone());
        self.identity == other.identity && self.url == other.url && config(self) == config(other)
    }

    pub fn inventory(&self) -> Arc<Inventory> {
        self.inventory.load_full()
    }

    /// Whether it serves the model, as far as it said and was seen; `None` if it never said anything.
    pub fn serves(&self, model: &ModelName) -> Option<bool> {
        if let Some(server) = &self.server {
            return Some(server.config.models.iter().any(|glob| glob.matches_model(model.as_str())));
        }
        let inventory = self.inventory.load();
        if !self.is_own() && self.health.lock().observed.is_without(model, Instant::now()) {
            return Some(false);
        }
        inventory.known.then(|| inventory.model(model).is_some())
    }

    /// Runs `read` on what it said of a model.
    pub fn with_model<T>(&self, name: &ModelName, read: impl FnOnce(&Model) -> T) -> Option<T> {
        self.inventory.load().model(name).map(read)
    }

    /// It answered a probe.
    pub fn set_inventory(&self, inventory: Inventory) {
        if let Some(capacity) = inventory.capacity {
            self.lane.set_limit(self.health.lock().observed.room(capacity.concurrency));
        }
        self.inventory.store(Arc::new(inventory));
    }

    /// A probe failed: what it has is remembered, that it is down is noted, and why.
    pub fn set_down(&self, why: String) {
        let mut inventory = Inventory::clone(&self.inventory.load());
        inventory.up = false;
        inventory.trouble = Some(why);
        self.set_inventory(inventory);
    }

    /// Somebody else answers there: nothing is sent to whoever it is.
    pub fn set_another(&self, why: String) {
        self.set_inventory(Inventory::of_another(why));
    }

    /// What a stranger says of itself, each time that it is chosen: believed as long as it was not
    /// asked. One that was down and announced itself since may be up.
    pub fn announced(&self, said: SaidOfItself) {
        if self.announced_at.swap(said.at.as_millis(), Ordering::Relaxed) >= said.at.as_millis() {
            return;
        }
        self.health.lock().service_said = said.service;
        if self.inventory.load().up {
            return;
        }
        let capacity = said.room.map(|(concurrency, others)| Capacity { concurrency, others });
        self.set_inventory(Inventory::announced(said.tier, capacity));
        self.lives.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it did not answer, and has not announced itself since.
    pub fn is_down_since(&self, announced_at: Timestamp) -> bool {
        self.inventory.load().trouble.is_some()
            && announced_at.as_millis() <= self.announced_at.load(Ordering::Relaxed)
    }

    /// What is remembered of having asked a peer is remembered under this.
    pub fn incarnation(&self) -> Option<(NodeId, u64)> {
        self.node().map(|node| (node, self.lives.load(Ordering::Relaxed)))
    }

    /// The names that its globs spell out: models that it has, listed or not.
    pub fn spelled_out(&self) -> impl Iterator<Item = ModelName> {
        let globs = self.server.iter().flat_map(|server| &server.config.models);
        globs.filter(|glob| !glob.is_pattern()).filter_map(|glob: &Glob| glob.as_str().parse().ok())
    }
}
