//! Settings and friends come into force while the node runs.

use super::Node;
use crate::{
    settings::{self, Reading},
    upstream::Upstream,
};
use config::Config;
use discovery::{PeerEntry, PeerList};
use protocol::NodeId;
use std::{collections::HashSet, sync::Arc};

impl Node {
    /// Takes the friends and other servers as they are listed now. A node is no upstream of its own.
    pub fn take_peers(&self) -> anyhow::Result<()> {
        let _one_at_a_time = self.taking.lock();
        let others = self.others(&self.config())?;
        self.set_others(others);
        Ok(())
    }

    fn others(&self, config: &Config) -> anyhow::Result<Vec<Arc<Upstream>>> {
        let friends = friends(config, &self.peers)?;
        let mut others = upstreams(friends.into_iter().filter(|peer| peer.pubkey != self.me).collect())?;
        for server in &config.upstreams {
            others.push(Upstream::server(server)?);
        }
        Ok(others)
    }

    fn set_others(&self, others: Vec<Arc<Upstream>>) {
        let friends = others.iter().filter_map(|upstream| upstream.node());
        self.strangers.leave_out(friends.chain([self.me]).collect());
        self.upstreams.set_others(others);
    }

    /// Reads `lobstah.toml` now (SIGHUP), and says in the log what came of it.
    pub fn reload(&self) {
        let _one_at_a_time = self.taking.lock();
        if let Some(reading) = self.settings.read() {
            self.take(reading);
        }
    }

    /// All of the new settings come into force, or none: what can fail is done before anything is
    /// changed.
    fn take(&self, reading: Reading) {
        settings::log(&reading, self.paths.config.path());
        let Reading::New { config, .. } = reading else {
            let result = if matches!(reading, Reading::Gone) { "gone" } else { "refused" };
            return self.metrics.reload(result);
        };
        let others = match self.others(&config) {
            Ok(others) => others,
            Err(error) => {
                tracing::error!("the old settings stay in force: {error:#}");
                return self.metrics.reload("refused");
            }
        };
        self.settings.put_in_force(*config);
        let config = self.config();
        self.slots.set_queue_max(config.gateway.queue);
        let local = &self.upstreams.local().lane;
        local.set_limit(config.ollama.concurrency);
        self.slots.lane_grew(local);
        self.engine.resize(&config.worker);
        self.strangers.set_rules(&config.discovery);
        self.set_others(others);
        tracing::info!("new settings are in force");
        self.metrics.reload("applied");
    }

    /// Follows `lobstah.toml` and the list of peers until the node stops: a running node sees what a
    /// command or an editor changed (SPEC sections 9 and 11).
    pub async fn follow_files(&self) {
        let mut tick = tokio::time::interval(settings::LOOK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            {
                let _one_at_a_time = self.taking.lock();
                if let Some(reading) = self.settings.look() {
                    self.take(reading);
                }
            }
            self.look_at_peers();
        }
    }

    /// Takes the list of peers if it changed since it was last taken.
    pub fn look_at_peers(&self) {
        let now = settings::stamp(self.peers.path());
        if std::mem::replace(&mut *self.peers_seen.lock(), now) == now {
            return;
        }
        match self.take_peers() {
            Ok(()) => tracing::info!("the list of peers changed"),
            Err(error) => tracing::error!(%error, "the list of peers cannot be read; the old one stays"),
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

/// Friends as upstreams.
pub fn upstreams(friends: Vec<PeerEntry>) -> anyhow::Result<Vec<Arc<Upstream>>> {
    let upstreams = friends.into_iter().map(|peer| Upstream::friend(peer.pubkey, &peer.url, peer.label));
    Ok(upstreams.collect::<Result<_, _>>()?)
}
