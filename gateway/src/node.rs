//! One node: every part of it, wired. The table of contents of the program.

mod following;

pub use following::{friends, upstreams};

use crate::{
    admit,
    contexts::Contexts,
    failure::Failure,
    lending::Lending,
    metrics::Metrics,
    prober::Prober,
    settings::{self, Settings, Source, Stamp},
    sharing::Sharing,
    slots::Slots,
    strangers::Strangers,
    target::Connections,
    upstream::Upstream,
    upstreams::Upstreams,
    witness::Witness,
    worker::Engine,
};
use anyhow::Context;
use config::{Config, Paths};
use discovery::{PeerEntry, PeerList, publish::Dates};
use ledger::Ledger;
use parking_lot::Mutex;
use protocol::{Identity, NodeId};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream_ollama::Ollama;
use work::{Work, tasks::TaskId};

/// After a receipt could not be kept, a worker takes no work for this long: it would be for nothing.
const LEDGER_REST: Duration = Duration::from_secs(5);

/// Ends of jobs that are remembered for those who wait.
const JOBS_ENDED_MAX: usize = 256;

/// A running node.
pub struct Node {
    pub settings: Settings,
    pub identity: Identity,
    pub me: NodeId,
    pub paths: Paths,
    pub ledger: Ledger,
    /// Jobs, files, batches.
    pub work: Work,
    pub peers: PeerList,
    pub upstreams: Upstreams,
    pub strangers: Arc<Strangers>,
    pub prober: Prober,
    /// What the models of the own engine run with.
    pub contexts: Arc<Contexts>,
    pub connections: Arc<Connections>,
    /// The gateway's queue for upstreams.
    pub slots: Arc<Slots>,
    /// The worker's room in the engine.
    pub engine: Engine,
    /// Jobs of others that wait for it.
    pub lending: Lending,
    pub body_memory: Arc<Semaphore>,
    pub metrics: Metrics,
    /// Background work; awaited at the end.
    pub tasks: TaskTracker,
    /// Requests that are being served; awaited at the end.
    pub open: TaskTracker,
    /// What was seen of answers whose receipts have not come.
    pub witness: Witness,
    /// Whether others are served.
    pub sharing: Sharing,
    /// Of what was announced and taken back.
    pub dates: Dates,
    /// There is something to tell a worker: its next request may depend on it.
    pub settle_now: Notify,
    /// Something waits in `work`, or is to be cancelled there, since this moment.
    pub work_now: Notify,
    /// Jobs of the gateway as they end, for who waits for them. Who falls behind looks for itself.
    pub jobs_ended: broadcast::Sender<TaskId>,
    /// A batch was created, whose lines are to be read.
    pub validate_now: Notify,
    /// Cancelled when the node is to stop.
    pub stopping: CancellationToken,
    ledger_failed_at: Mutex<Option<Instant>>,
    spread: AtomicUsize,
    /// The list of peers as it was when it was last taken.
    peers_seen: Mutex<Option<Stamp>>,
    /// Held while settings or peers are taken: the newest is the last that is put in force.
    taking: Mutex<()>,
}

/// What a node is built from.
pub struct Plan {
    pub config: Config,
    /// Where new settings come from, if they may change while it runs.
    pub source: Option<Source>,
    pub identity: Identity,
    pub paths: Paths,
    /// `LOBSTAH_BLOCK_PRIVATE_ADDRS=1`
    pub block_private: bool,
    /// A grid inside one process, where strangers announce loopback addresses. No setting leads here.
    pub strangers_may_be_here: bool,
}

impl Node {
    /// Builds a node; nothing runs and nothing listens yet.
    pub fn build(plan: Plan) -> anyhow::Result<Arc<Self>> {
        let Plan { config, source, identity, paths, block_private, strangers_may_be_here } = plan;
        let me = identity.node.node_id();
        let ledger = Ledger::open(&paths.ledger, me)
            .with_context(|| format!("the ledger {} cannot be opened", paths.ledger.display()))?;
        let work = Work::open(&paths.home)
            .with_context(|| format!("the work in {} cannot be opened", paths.home.display()))?;
        let connections = Arc::new(Connections::new(block_private));
        let ollama = Ollama::new(config.ollama.url.clone()).context("ollama.url")?;
        let contexts = Arc::new(Contexts::default());
        let metrics = Metrics::default();
        let heard = metrics.heard.clone();
        let node = Arc::new(Self {
            me,
            ledger,
            work,
            peers: PeerList::at(&paths.peers),
            upstreams: Upstreams::new(Upstream::local(&config.ollama).context("ollama.url")?),
            strangers: Arc::new(Strangers::new(
                &config.discovery,
                block_private,
                strangers_may_be_here,
                heard,
            )),
            prober: Prober::new(ollama, Arc::clone(&connections), Arc::clone(&contexts)),
            contexts,
            connections,
            slots: Slots::new(config.gateway.queue),
            engine: Engine::new(&config.worker),
            lending: Lending::default(),
            body_memory: admit::body_memory(),
            metrics,
            tasks: TaskTracker::new(),
            open: TaskTracker::new(),
            witness: Witness::default(),
            sharing: Sharing::default(),
            dates: Dates::default(),
            settle_now: Notify::new(),
            work_now: Notify::new(),
            jobs_ended: broadcast::channel(JOBS_ENDED_MAX).0,
            validate_now: Notify::new(),
            stopping: CancellationToken::new(),
            ledger_failed_at: Mutex::default(),
            spread: AtomicUsize::new(0),
            taking: Mutex::default(),
            peers_seen: Mutex::new(settings::stamp(&paths.peers)),
            settings: Settings::new(config, source),
            paths,
            identity,
        });
        node.take_peers().context("the list of peers")?;
        Ok(node)
    }

    /// The settings in force. A request asks once and keeps to what it got.
    pub fn config(&self) -> Arc<Config> {
        self.settings.current()
    }

    /// The friends of the config and of the list of peers.
    pub fn friends(&self) -> anyhow::Result<Vec<PeerEntry>> {
        friends(&self.config(), &self.peers)
    }

    /// A number that no two requests in a row share: spreads ties among equal upstreams.
    pub fn next_spread(&self) -> usize {
        self.spread.fetch_add(1, Ordering::Relaxed)
    }

    /// The ledger cannot be written: no work is taken for a while.
    pub fn cannot_write(&self, why: &str) -> Failure {
        tracing::error!(why, "the ledger cannot be written; no new work is taken for others until it can");
        *self.ledger_failed_at.lock() = Some(Instant::now());
        Failure::Internal { message: format!("this worker cannot write its books: {why}") }
    }

    /// Why no work is taken for others now: a worker that cannot keep receipts works for nothing.
    pub fn cannot_keep_receipts(&self) -> Option<Failure> {
        let failed_at = *self.ledger_failed_at.lock();
        let resting = failed_at.is_some_and(|at| at.elapsed() < LEDGER_REST);
        resting.then(|| Failure::Internal {
            message: "this worker cannot keep receipts now (is its disk full?) and takes no work".into(),
        })
    }
}
