//! The upstreams that the owner chose: the local Ollama, friends, other servers. Who announces itself
//! is in `strangers.rs`.

use crate::upstream::Upstream;
use arc_swap::ArcSwap;
use config::Target as Group;
use protocol::NodeId;
use std::sync::Arc;

/// All of them.
#[derive(Debug)]
pub struct Upstreams {
    local: Arc<Upstream>,
    all: ArcSwap<Vec<Arc<Upstream>>>,
}

impl Upstreams {
    /// With the owner's own Ollama, and nobody else yet.
    pub fn new(local: Arc<Upstream>) -> Self {
        let all = ArcSwap::from_pointee(vec![Arc::clone(&local)]);
        Self { local, all }
    }

    pub fn local(&self) -> &Arc<Upstream> {
        &self.local
    }

    /// Whether the owner listed it.
    pub fn is_friend(&self, node: NodeId) -> bool {
        self.all.load().iter().any(|upstream| upstream.node() == Some(node))
    }

    pub fn all(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.all.load_full()
    }

    /// Replaces everybody but the local Ollama. Those who stay at the same address keep what is
    /// known of them.
    pub fn set_others(&self, wanted: Vec<Arc<Upstream>>) {
        let before = self.all.load();
        let keep = |new: Arc<Upstream>| {
            before.iter().find(|old| old.is_same_as(&new)).map_or(new.clone(), Arc::clone)
        };
        let mut all = vec![Arc::clone(&self.local)];
        all.extend(wanted.into_iter().map(keep));
        self.all.store(Arc::new(all));
    }

    /// The upstreams that a route may reach, each with its group's place in the route.
    pub fn reachable(&self, to: &[Group]) -> Vec<(usize, Arc<Upstream>)> {
        let all = self.all.load();
        let placed = all.iter().filter_map(|upstream| {
            let preference = to.iter().position(|group| upstream.is_in(group))?;
            Some((preference, Arc::clone(upstream)))
        });
        placed.collect()
    }
}
