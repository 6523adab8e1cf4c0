//! One node: every part of it, wired. The table of contents of the program.

use crate::{
    admit,
    failure::Failure,
    metrics::Metrics,
    prober::Prober,
    roster::{Identity as UpstreamIdentity, Roster, UNSAID_CONCURRENCY, Upstream},
    slots::Slots,
    target::Connections,
    worker::Engine,
};
use anyhow::Context;
use config::{Config, Paths};
use discovery::{PeerEntry, PeerList};
use ledger::{Ledger, PostError};
use parking_lot::Mutex;
use protocol::{Identity, NodeId};
use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream_ollama::Ollama;

/// After a receipt could not be kept, a worker takes no work for this long: it would be for nothing.
const LEDGER_REST: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    pub config: Arc<Config>,
    pub identity: Identity,
    pub me: NodeId,
    pub ledger: Ledger,
    pub peers: PeerList,
    pub roster: Roster,
    pub prober: Prober,
    pub connections: Arc<Connections>,
    /// The gateway's queue for upstreams.
    pub slots: Arc<Slots>,
    /// The worker's room in the engine.
    pub engine: Engine,
    pub body_memory: Arc<Semaphore>,
    pub metrics: Metrics,
    /// Background work; awaited at the end.
    pub tasks: TaskTracker,
    /// Requests that are being served; awaited at the end.
    pub open: TaskTracker,
    /// Cancelled when the node is to stop.
    pub stopping: CancellationToken,
    ledger_failed_at: Mutex<Option<Instant>>,
    spread: AtomicUsize,
}

impl Node {
    /// Builds a node; nothing runs and nothing listens yet.
    pub fn build(
        config: Config,
        identity: Identity,
        paths: &Paths,
        block_private: bool,
    ) -> anyhow::Result<Arc<Self>> {
        let me = identity.node.node_id();
        let ledger = Ledger::open(&paths.ledger, me)
            .with_context(|| format!("the ledger {} cannot be opened", paths.ledger.display()))?;
        let connections = Arc::new(Connections::new(block_private));
        let ollama = Ollama::new(config.ollama.url.clone()).context("ollama.url")?;
        let local = Upstream::new(UpstreamIdentity::Local, &config.ollama.url, config.ollama.concurrency);
        let node = Arc::new(Self {
            me,
            ledger,
            peers: PeerList::at(&paths.peers),
            roster: Roster::new(local.context("ollama.url")?),
            prober: Prober::new(ollama, Arc::clone(&connections)),
            connections,
            slots: Slots::new(config.gateway.queue),
            engine: Engine::new(&config.worker),
            body_memory: admit::body_memory(),
            metrics: Metrics::default(),
            tasks: TaskTracker::new(),
            open: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ledger_failed_at: Mutex::default(),
            spread: AtomicUsize::new(0),
            config: Arc::new(config),
            identity,
        });
        node.read_peers().context("the list of peers")?;
        Ok(node)
    }

    /// The friends of the config and of the list of peers.
    pub fn friends(&self) -> anyhow::Result<Vec<PeerEntry>> {
        friends(&self.config, &self.peers)
    }

    /// Fills the roster from the list of peers as it is now.
    pub fn read_peers(&self) -> anyhow::Result<()> {
        self.roster.set_others(upstreams(self.friends()?, Some(self.me))?);
        Ok(())
    }

    /// A number that no two requests in a row share: spreads ties among equal upstreams.
    pub fn next_spread(&self) -> usize {
        self.spread.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a receipt could not be kept.
    pub fn ledger_failed(&self, error: &PostError) {
        self.metrics.receipt("not_kept");
        tracing::error!(%error, "a receipt could not be kept; no new work is taken for others until one can");
        *self.ledger_failed_at.lock() = Some(Instant::now());
    }

    /// Why no work is taken for others now: a worker that cannot keep receipts works for nothing.
    pub fn cannot_keep_receipts(&self) -> Option<Failure> {
        let failed_at = *self.ledger_failed_at.lock();
        let resting = failed_at.is_some_and(|at| at.elapsed() < LEDGER_REST);
        resting.then(|| Failure::Internal {
            message: "this worker cannot keep receipts now (is its disk full?) and takes no work".into(),
        })
    }

    /// Follows the list of peers until the node stops: a running node sees what a command changed
    /// (SPEC section 11).
    pub async fn follow_peers(&self) {
        const EVERY: Duration = Duration::from_millis(500);
        let mut tick = tokio::time::interval(EVERY);
        let mut seen = modified(self.peers.path());
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            let now = modified(self.peers.path());
            if now == seen {
                continue;
            }
            seen = now;
            match self.read_peers() {
                Ok(()) => tracing::info!(peers = self.roster.all().len() - 1, "the list of peers changed"),
                Err(error) => tracing::error!(%error, "the list of peers cannot be read; the old one stays"),
            }
        }
    }
}

/// The friends of the config and of the list of peers, each once; the list's URL and label win, since
/// it is what a command changed last.
pub fn friends(config: &Config, list: &PeerList) -> anyhow::Result<Vec<PeerEntry>> {
    let mut friends = list.load()?;
    let listed: HashSet<NodeId> = friends.iter().map(|peer| peer.pubkey).collect();
    let configured = config.peers.iter().filter(|peer| !listed.contains(&peer.pubkey));
    friends.extend(configured.filter_map(|peer| {
        let url = peer.url.clone()?;
        Some(PeerEntry { pubkey: peer.pubkey, url, label: peer.label.clone() })
    }));
    Ok(friends)
}

/// Friends as upstreams. A node is no upstream of its own.
pub fn upstreams(friends: Vec<PeerEntry>, me: Option<NodeId>) -> anyhow::Result<Vec<Arc<Upstream>>> {
    let others = friends.into_iter().filter(|peer| Some(peer.pubkey) != me).map(|peer| {
        let identity = UpstreamIdentity::Friend { node: peer.pubkey, label: peer.label };
        Ok(Upstream::new(identity, &peer.url, UNSAID_CONCURRENCY)?)
    });
    others.collect()
}

/// What tells one state of a file from another: a rename gives it another inode at least.
fn modified(path: &Path) -> Option<(std::time::SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}
