//! One upstream: who it is, how it is reached, how it fares, how much room it has.

use crate::{
    breaker::{Admission, Breaker},
    inventory::{Capacity, Inventory, Model},
    observed::{Observed, UNMEASURED},
    route::Candidate,
    slots::Lane,
    target::{Destination, NotADestination},
};
use arc_swap::ArcSwap;
use config::{Glob, Target as Group};
use discovery::Trust;
use http::HeaderValue;
use parking_lot::Mutex;
use protocol::{ModelName, NodeId, Tier, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use url::Url;

/// A peer that does not say how much it takes (a version 1 worker), and any other server, is given so
/// many at once.
pub const UNSAID_CONCURRENCY: usize = 64;

/// The longest that a "busy, come back later" is honoured.
pub const BUSY_MAX: Duration = Duration::from_secs(60);

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
}

#[derive(Debug, Default)]
struct Health {
    breaker: Breaker,
    busy_until: Option<Instant>,
    observed: Observed,
    /// What it said of its speed, where it was never seen at work.
    service_said: Option<Duration>,
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
        }
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

    /// It said that it does not have a model, whatever it lists.
    pub fn lacks(&self, model: &ModelName, now: Instant) {
        self.health.lock().observed.lacks(model, now);
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

    /// The names that its globs spell out: models that it has, listed or not.
    pub fn spelled_out(&self) -> impl Iterator<Item = ModelName> {
        let globs = self.server.iter().flat_map(|server| &server.config.models);
        globs.filter(|glob| !glob.is_pattern()).filter_map(|glob: &Glob| glob.as_str().parse().ok())
    }
}
