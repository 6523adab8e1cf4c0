//! The upstreams that there are now: what each has, how it fares, how much room it has.
//!
//! Filled from the config and the list of peers, refreshed by `prober.rs`, read by every request.

use crate::{
    breaker::{Admission, Breaker},
    route::Candidate,
    slots::Lane,
    target::{Destination, NotADestination},
};
use arc_swap::ArcSwap;
use config::Target as Group;
use discovery::Trust;
use parking_lot::Mutex;
use protocol::{ModelName, NodeId};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use url::Url;

/// A peer that does not say how much it takes (a version 1 worker) is given so many at once.
pub const UNSAID_CONCURRENCY: usize = 64;

/// The longest that a "busy, come back later" is honoured.
pub const BUSY_MAX: Duration = Duration::from_secs(60);

/// Who an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The owner's own Ollama.
    Local,
    /// A worker with its key, and what its owner calls it.
    Friend { node: NodeId, label: Option<String> },
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
    inventory: ArcSwap<Inventory>,
    health: Mutex<Health>,
    /// When it was last asked what it has; held while that is under way.
    pub(crate) probed: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Health {
    breaker: Breaker,
    busy_until: Option<Instant>,
}

/// What an upstream said that it has.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    models: Vec<Model>,
    /// From the name with its tag made explicit to its place in `models`.
    index: HashMap<String, usize>,
    /// Whether the last probe was answered.
    pub up: bool,
    /// Whether any probe was ever answered: else nobody can say what it does not have.
    pub known: bool,
    /// What came of the last probe, if it was nothing good.
    pub trouble: Option<String>,
    /// 2 where it said so.
    pub protocol: u8,
}

/// A model of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: ModelName,
    pub digest: Option<String>,
    pub context_length: Option<u64>,
    /// Unix seconds.
    pub created: u64,
    /// Its template knows the role `developer`.
    pub knows_developer: bool,
    /// It runs on somebody else's machine, whatever its name says.
    pub remote: bool,
}

impl Inventory {
    /// An answer to a probe.
    pub fn answered(models: Vec<Model>) -> Self {
        let index =
            models.iter().enumerate().map(|(at, model)| (model.name.with_tag().into_owned(), at)).collect();
        Self { models, index, up: true, known: true, ..Inventory::default() }
    }

    /// The model of this name, the default tag being implied.
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.index.get(name.with_tag().as_ref()).map(|&at| &self.models[at])
    }

    /// All of them, in the order in which they were named.
    pub fn models(&self) -> &[Model] {
        &self.models
    }
}

impl Upstream {
    /// Fails if the URL cannot be dialled.
    pub fn new(identity: Identity, url: &Url, limit: usize) -> Result<Arc<Self>, NotADestination> {
        let name = match &identity {
            Identity::Local => "local".to_owned(),
            Identity::Friend { node, .. } => node.to_string(),
        };
        let trust = if identity == Identity::Local { Trust::Own } else { Trust::Friend };
        Ok(Arc::new(Self {
            identity,
            name,
            url: url.clone(),
            destination: Destination::new(url, trust)?,
            lane: Lane::new(limit),
            inventory: ArcSwap::default(),
            health: Mutex::default(),
            probed: tokio::sync::Mutex::default(),
        }))
    }

    /// What its owner calls it, for people.
    pub fn display_name(&self) -> String {
        match &self.identity {
            Identity::Local => "Ollama".into(),
            Identity::Friend { node, label } => label.clone().unwrap_or_else(|| node.short()),
        }
    }

    /// Whether it is the owner's: believed, and no receipts.
    pub fn is_own(&self) -> bool {
        !matches!(self.identity, Identity::Friend { .. })
    }

    /// Its key, if it is a peer.
    pub fn node(&self) -> Option<NodeId> {
        match self.identity {
            Identity::Friend { node, .. } => Some(node),
            Identity::Local => None,
        }
    }

    pub fn inventory(&self) -> Arc<Inventory> {
        self.inventory.load_full()
    }

    /// Whether it serves the model, as far as it said; `None` if it never said anything.
    pub fn serves(&self, model: &ModelName) -> Option<bool> {
        let inventory = self.inventory.load();
        inventory.known.then(|| inventory.model(model).is_some())
    }

    /// Runs `read` on what it said of a model.
    pub fn with_model<T>(&self, name: &ModelName, read: impl FnOnce(&Model) -> T) -> Option<T> {
        self.inventory.load().model(name).map(read)
    }

    pub fn set_inventory(&self, inventory: Inventory) {
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
    pub fn set_stranger(&self, why: String) {
        self.set_inventory(Inventory { known: true, trouble: Some(why), ..Inventory::default() });
    }

    /// How it looks to the choice. `preference` is its group's place in the route.
    pub fn candidate(&self, preference: usize, now: Instant) -> Candidate {
        let health = self.health.lock();
        Candidate {
            preference,
            admission: health.breaker.admission(now),
            up: self.inventory.load().up,
            in_flight: self.lane.in_flight(),
            limit: self.lane.limit(),
            busy: health.busy_until.is_some_and(|until| now < until),
        }
    }

    /// When it may be free again, if it said that it is busy.
    pub fn busy_until(&self) -> Option<Instant> {
        self.health.lock().busy_until
    }

    pub fn sent(&self, now: Instant) {
        self.health.lock().breaker.sent(now);
    }

    pub fn succeeded(&self) {
        let mut health = self.health.lock();
        health.breaker.succeeded();
        health.busy_until = None;
    }

    pub fn failed(&self, now: Instant) {
        self.health.lock().breaker.failed(now);
    }

    /// It said that it is busy for so long.
    pub fn busy(&self, retry_after: Duration, now: Instant) {
        self.health.lock().busy_until = Some(now + retry_after.min(BUSY_MAX));
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

    fn group(&self) -> Group {
        match &self.identity {
            Identity::Local => Group::Local,
            Identity::Friend { .. } => Group::Friends,
        }
    }
}

/// All upstreams.
#[derive(Debug)]
pub struct Roster {
    local: Arc<Upstream>,
    all: ArcSwap<Vec<Arc<Upstream>>>,
}

impl Roster {
    /// With the owner's own Ollama, and nobody else yet.
    pub fn new(local: Arc<Upstream>) -> Self {
        let all = ArcSwap::from_pointee(vec![Arc::clone(&local)]);
        Self { local, all }
    }

    pub fn local(&self) -> &Arc<Upstream> {
        &self.local
    }

    pub fn all(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.all.load_full()
    }

    /// Replaces everybody but the local Ollama. Those who stay at the same address keep what is
    /// known of them.
    pub fn set_others(&self, wanted: Vec<Arc<Upstream>>) {
        let before = self.all.load();
        let keep = |new: Arc<Upstream>| {
            let same = |old: &&Arc<Upstream>| old.identity == new.identity && old.url == new.url;
            before.iter().find(same).map_or(new.clone(), Arc::clone)
        };
        let mut all = vec![Arc::clone(&self.local)];
        all.extend(wanted.into_iter().map(keep));
        self.all.store(Arc::new(all));
    }

    /// The upstreams that a route may reach, each with its group's place in the route.
    pub fn reachable(&self, to: &[Group]) -> Vec<(usize, Arc<Upstream>)> {
        let all = self.all.load();
        let placed = all.iter().filter_map(|upstream| {
            let preference = to.iter().position(|group| *group == upstream.group())?;
            Some((preference, Arc::clone(upstream)))
        });
        placed.collect()
    }
}
