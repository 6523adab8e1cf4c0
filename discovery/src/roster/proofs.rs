//! Which strangers served us, the newest proof last.

use protocol::NodeId;
use std::collections::{BTreeMap, HashMap};

/// At most `most` nodes. A node that leaves and comes back is still proven.
#[derive(Debug)]
pub(super) struct Proofs {
    most: usize,
    count: u64,
    by_node: HashMap<NodeId, u64>,
    by_age: BTreeMap<u64, NodeId>,
}

impl Proofs {
    pub(super) fn new(most: usize) -> Self {
        Self { most, count: 0, by_node: HashMap::new(), by_age: BTreeMap::new() }
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.by_node.contains_key(node)
    }

    /// Gives the node whose proof gave way, if one did; with room for none that is `node` itself.
    pub(super) fn add(&mut self, node: NodeId) -> Option<NodeId> {
        self.count += 1;
        if let Some(before) = self.by_node.insert(node, self.count) {
            self.by_age.remove(&before);
        }
        self.by_age.insert(self.count, node);
        if self.by_age.len() <= self.most {
            return None;
        }
        let (_, oldest) = self.by_age.pop_first()?;
        self.by_node.remove(&oldest);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_proof_gives_way_and_a_new_one_makes_young() {
        let node = |n| NodeId::from_bytes([n; 32]);
        let mut proofs = Proofs::new(2);
        assert_eq!([1, 2, 1].map(|n| proofs.add(node(n))), [None; 3]);
        assert_eq!(proofs.add(node(3)), Some(node(2)));
        assert!(proofs.contains(&node(1)) && proofs.contains(&node(3)));
        assert!(!proofs.contains(&node(2)));
        assert_eq!(Proofs::new(0).add(node(1)), Some(node(1)));
    }
}
