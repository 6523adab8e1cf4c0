//! A worker that knows its manners (`GET /capacity`) and behaves as its script says otherwise.

use crate::{
    lab::Host,
    rogue::{self, Act, Request, Rogue},
};
use protocol::{Keypair, NodeId, Order, Requester, Signed, carriers};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub struct RogueWorker {
    pub rogue: Rogue,
    key: Keypair,
    silent: Arc<AtomicBool>,
}

/// What a script is told: who it is, and the request.
#[derive(Debug)]
pub struct Asked<'a> {
    pub key: &'a Keypair,
    pub request: &'a Request,
}

impl Asked<'_> {
    /// Who asks, as the header says.
    pub fn requester(&self) -> Requester {
        self.request.header("x-lobstah-requester").map_or(Requester::Anonymous, |text| text.parse().unwrap())
    }

    /// The order that came along; a request for an answer has one.
    pub fn order(&self) -> Signed<Order> {
        carriers::order_from_header(self.request.header(carriers::ORDER_HEADER).unwrap().as_bytes()).unwrap()
    }
}

/// A key that nobody has had before.
pub fn new_key() -> Keypair {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    Keypair::from_seed(&seed)
}

impl RogueWorker {
    /// One that has `practice:8b`.
    pub async fn start(script: impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with_models(&[crate::engine::MODEL], script).await
    }

    /// The same on a host of a lab, where other hosts reach it.
    pub async fn start_on(
        host: &Host,
        script: impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (key, silent) = (new_key(), Arc::default());
        let script = mannered(&key, &silent, &[crate::engine::MODEL], script);
        Self { rogue: Rogue::start_on(host, script).await, key, silent }
    }

    pub async fn with_models(
        models: &[&str],
        script: impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (key, silent) = (new_key(), Arc::default());
        let script = mannered(&key, &silent, models, script);
        Self { rogue: Rogue::start(script).await, key, silent }
    }

    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub fn url(&self) -> String {
        self.rogue.url()
    }

    /// From now on it does not say what it has.
    pub fn stop_answering_capacity(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }
}

/// Says what it has when it is asked, and follows the script else.
fn mannered(
    key: &Keypair,
    silent: &Arc<AtomicBool>,
    models: &[&str],
    script: impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static {
    let capacity = json!({
        "pubkey": key.node_id(), "protocol": 2, "models": models, "tier": "best-effort", "concurrency": 4,
        "queueDepth": 0, "jobCounts": {"queued": 0, "running": 0, "done": 0, "error": 0},
    });
    let (key, silent) = (key.clone(), Arc::clone(silent));
    move |request| match request.path.as_str() {
        "/capacity" if silent.load(Ordering::Relaxed) => vec![Act::Close],
        "/capacity" => vec![rogue::answer(200, "", &capacity.to_string())],
        _ => script(Asked { key: &key, request }),
    }
}
