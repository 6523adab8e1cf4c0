//! Asking upstreams what they have: in the background, and at once when a request needs to know.

mod said;

use crate::{
    contexts::Contexts,
    fetch,
    inventory::{self, Capacity, Inventory, Model},
    node::Node,
    target::Connections,
    upstream::{Identity, Server, UNSAID_CONCURRENCY, Upstream},
};
use futures::StreamExt;
use parking_lot::Mutex;
use protocol::{NodeId, Tier, limits::ANNOUNCED_MODELS_MAX};
use said::{SaidCapacity, SaidModels, named, priced, unix_seconds};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use upstream_ollama::Ollama;

/// No peer is given more at once, whatever it says of itself: each answer may be long, and all are in memory.
const CONCURRENCY_MAX: usize = 4096;

/// The same for strangers.
const STRANGERS_CONCURRENCY_MAX: usize = 32;

/// How often everybody is asked.
const EVERY: Duration = Duration::from_secs(10);

/// How often who is down is asked: what came back is used soon after.
const EVERY_WHILE_DOWN: Duration = Duration::from_secs(2);

/// How often the models of another server are listed: its globs say what is sent there.
const EVERY_OF_SERVERS: Duration = Duration::from_secs(10 * 60);

/// What a stranger said of itself is believed for this long; then it is asked again before its next use.
const STRANGER_FRESH: Duration = Duration::from_secs(30);

/// So many strangers are remembered as asked; beyond it some are asked anew.
const STRANGERS_MAX: u64 = 4096;

/// So many models are kept of what a stranger says that it has: there may be very many strangers.
const STRANGERS_MODELS_MAX: usize = 32;

/// Details of so many models are remembered, by digest; beyond it they are asked for anew.
const DETAILS_MAX: usize = 4096;

/// So many are asked for at once.
const DETAILS_AT_ONCE: usize = 8;

/// Asks, and writes what it heard into the upstream's inventory.
pub struct Prober {
    ollama: Ollama,
    connections: Arc<Connections>,
    contexts: Arc<Contexts>,
    /// By digest, or by name where there is none: what a model is does not change under its digest.
    details: Mutex<HashMap<String, Details>>,
    /// Strangers that were asked of late, whatever came of it.
    asked: moka::future::Cache<(NodeId, u64), ()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Details {
    context_length: Option<u64>,
    num_ctx: Option<u64>,
    knows_developer: bool,
}

/// Why there is no inventory.
enum Trouble {
    Down(String),
    /// With the key that it says is its own.
    AnotherNode(String),
}

impl Prober {
    pub fn new(ollama: Ollama, connections: Arc<Connections>, contexts: Arc<Contexts>) -> Self {
        let asked =
            moka::future::Cache::builder().max_capacity(STRANGERS_MAX).time_to_live(STRANGER_FRESH).build();
        Self { ollama, connections, contexts, details: Mutex::default(), asked }
    }

    /// Whether a stranger still has to be asked before it is used.
    pub fn must_ask(&self, upstream: &Upstream) -> bool {
        upstream.is_stranger() && upstream.incarnation().is_some_and(|key| !self.asked.contains_key(&key))
    }

    /// Asks a stranger, once for all who want to know at the same time.
    pub async fn ask_once(&self, upstream: &Upstream) {
        if let Some(key) = upstream.incarnation() {
            self.asked.get_with(key, self.ask(upstream)).await;
        }
    }

    /// Asks unless somebody did within `age`. Several who want to know wait for one answer.
    pub async fn if_older(&self, upstream: &Upstream, age: Duration) {
        let mut probed = upstream.probed.lock().await;
        // A paid server is not asked for its list each time that somebody looks.
        let age = if upstream.server.is_some() { age.max(EVERY_OF_SERVERS) } else { age };
        if probed.is_none_or(|at| at.elapsed() >= age) {
            self.ask(upstream).await;
            *probed = Some(Instant::now());
        }
    }

    /// Keeps every inventory fresh until the node stops.
    pub async fn run(&self, node: &Node, stopping: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY_WHILE_DOWN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            let all = node.upstreams.all();
            let probes = all.iter().map(|upstream| {
                let age = match upstream.inventory().up {
                    _ if upstream.server.is_some() => EVERY_OF_SERVERS,
                    true => EVERY,
                    false => EVERY_WHILE_DOWN,
                };
                // A little less than the interval, or every second tick would find it too young.
                self.if_older(upstream, age.mul_f64(0.9))
            });
            tokio::select! {
                _ = futures::future::join_all(probes) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn ask(&self, upstream: &Upstream) {
        let was_up = upstream.inventory().up;
        let heard = match &upstream.identity {
            Identity::Local => self.ask_ollama().await,
            Identity::Friend { node, .. } | Identity::Stranger { node, .. } => {
                self.ask_worker(upstream, *node).await
            }
            Identity::Server { .. } => self.ask_server(upstream).await,
        };
        match heard {
            Ok(inventory) => upstream.set_inventory(inventory),
            Err(Trouble::Down(why)) => {
                if was_up && !upstream.is_stranger() {
                    tracing::warn!(upstream = %upstream.name, why, "an upstream does not answer");
                }
                upstream.set_down(why);
            }
            Err(Trouble::AnotherNode(key)) => {
                let why = format!("another node answers at its URL, {key}; correct its key or its URL");
                if upstream.inventory().trouble.as_ref() != Some(&why) {
                    tracing::warn!(upstream = %upstream.name, "{why}");
                }
                upstream.set_another(why);
            }
        }
    }

    async fn ask_ollama(&self) -> Result<Inventory, Trouble> {
        let (listed, loaded) = tokio::join!(self.ollama.models(), self.ollama.loaded());
        let listed = listed.map_err(|error| Trouble::Down(error.to_string()))?;
        // Who cannot say what is loaded is asked for nothing that depends on it.
        loaded.into_iter().for_each(|loaded| self.contexts.saw(&loaded));
        let described = futures::stream::iter(listed).map(|model| self.describe(model));
        Ok(Inventory::answered(described.buffered(DETAILS_AT_ONCE).collect().await))
    }

    async fn describe(&self, model: upstream_ollama::Model) -> Model {
        let details = self.details(&model).await;
        Model {
            created: model.modified_at.as_deref().map_or(0, unix_seconds),
            name: model.name,
            digest: model.digest.as_deref().and_then(inventory::digest),
            context_length: details.context_length,
            num_ctx: details.num_ctx,
            knows_developer: details.knows_developer,
            remote: model.remote,
        }
    }

    async fn details(&self, model: &upstream_ollama::Model) -> Details {
        let key = model.digest.clone().unwrap_or_else(|| model.name.to_string());
        if let Some(known) = self.details.lock().get(&key) {
            return *known;
        }
        // An engine that cannot say (it speaks only OpenAI's API) is taken as one that knows little.
        let Ok(shown) = self.ollama.show(&model.name).await else { return Details::default() };
        let details = Details {
            context_length: shown.context_length,
            num_ctx: shown.num_ctx,
            knows_developer: shown.knows_developer_role,
        };
        let mut known = self.details.lock();
        if known.len() >= DETAILS_MAX {
            known.clear();
        }
        known.insert(key, details);
        details
    }

    async fn ask_worker(&self, upstream: &Upstream, node: NodeId) -> Result<Inventory, Trouble> {
        let mut said: SaidCapacity = self.get(upstream, "/capacity").await?;
        if let Some(key) = said.pubkey.as_ref().filter(|key| key.parse() != Ok(node)) {
            return Err(Trouble::AnotherNode(key.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        let ours = upstream.lane.in_flight();
        let most = if upstream.is_stranger() { STRANGERS_MODELS_MAX } else { ANNOUNCED_MODELS_MAX };
        let models = said.take_models(most);
        let concurrency_max =
            if upstream.is_stranger() { STRANGERS_CONCURRENCY_MAX } else { CONCURRENCY_MAX };
        let mut inventory = Inventory::answered(models);
        inventory.protocol = said.protocol.unwrap_or(1);
        inventory.tier = said.tier.as_deref().map(Tier::from_wire);
        inventory.prices = priced(said.prices.unwrap_or_default());
        inventory.capacity = Some(Capacity {
            concurrency: said.concurrency.unwrap_or(UNSAID_CONCURRENCY).clamp(1, concurrency_max),
            others: said.queue_depth.unwrap_or(0).saturating_sub(ours),
        });
        Ok(inventory)
    }

    /// What another server lists, or in words why it does not.
    pub async fn list_models(&self, upstream: &Upstream) -> Result<Vec<String>, String> {
        let listed: Result<SaidModels, Trouble> = self.get(upstream, "/models").await;
        let names = listed.map(|listed| listed.data.into_iter().map(|model| model.id).collect());
        names.map_err(|trouble| match trouble {
            Trouble::Down(why) | Trouble::AnotherNode(why) => why,
        })
    }

    /// A server that lists nothing, or is not there, keeps the models that its globs spell out.
    async fn ask_server(&self, upstream: &Upstream) -> Result<Inventory, Trouble> {
        let listed = self.list_models(upstream).await.map(named).unwrap_or_default().into_iter();
        let mut models: Vec<Model> =
            listed.filter(|model| upstream.serves(&model.name) == Some(true)).collect();
        for name in upstream.spelled_out() {
            if !models.iter().any(|model| model.name.same_model(&name)) {
                models.push(Model::named(name));
            }
        }
        Ok(Inventory::answered(models))
    }

    async fn get<T: DeserializeOwned>(&self, upstream: &Upstream, path: &str) -> Result<T, Trouble> {
        let authorization =
            upstream.server.as_ref().and_then(|server: &Server| server.authorization.as_ref());
        let fetched = fetch::get(&self.connections, &upstream.destination, path, authorization).await;
        let fetched = fetched.map_err(|error| Trouble::Down(error.to_string()))?;
        if fetched.status != 200 {
            return Err(Trouble::Down(format!("GET {path} answered {}", fetched.status)));
        }
        serde_json::from_slice(&fetched.body)
            .map_err(|error| Trouble::Down(format!("GET {path} answered something else: {error}")))
    }
}
