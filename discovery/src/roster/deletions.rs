//! What was taken back, for events that come, or come again, after their deletion.

use super::limits::Limits;
use crate::event::{Deleted, Publication};
use nostr_sdk::{EventId, PublicKey};
use protocol::{NodeId, Timestamp, Withdrawal};
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Deletions, by what they speak of; each kind bounded, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Deletions {
    /// One event of one author; of another's the deletion says nothing (NIP-09).
    events: Bounded<(PublicKey, EventId), ()>,
    /// All of an author's until this second.
    authors: Bounded<PublicKey, u64>,
    /// Announcements of a node made until then.
    nodes: Bounded<NodeId, Timestamp>,
}

impl Deletions {
    pub(super) fn new(limits: &Limits) -> Self {
        let most = limits.deletions;
        Self { events: Bounded::new(most), authors: Bounded::new(most), nodes: Bounded::new(most) }
    }

    pub(super) fn note(&mut self, deleted: &Deleted) {
        for &event in &deleted.events {
            self.events.insert((deleted.author, event), ());
        }
        if let Some(second) = deleted.up_to {
            let before = self.authors.get(&deleted.author).copied().unwrap_or_default();
            self.authors.insert(deleted.author, before.max(second));
        }
    }

    pub(super) fn note_withdrawal(&mut self, withdrawal: &Withdrawal) {
        let before = self.nodes.get(&withdrawal.node()).copied();
        self.nodes.insert(withdrawal.node(), before.map_or(withdrawal.at(), |at| at.max(withdrawal.at())));
    }

    /// Whether its author took this publication back.
    pub(super) fn cover(&self, publication: &Publication) -> bool {
        self.events.get(&(publication.author, publication.event)).is_some()
            || self.authors.get(&publication.author).is_some_and(|&second| publication.created_at <= second)
    }

    /// Whether the node itself took back what it announced at that time.
    pub(super) fn withdrew(&self, node: &NodeId, announced_at: Timestamp) -> bool {
        self.nodes.get(node).is_some_and(|&at| announced_at <= at)
    }
}

/// A map that forgets the key that was first to come.
#[derive(Debug)]
struct Bounded<K, V> {
    most: usize,
    map: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    fn new(most: usize) -> Self {
        Self { most, map: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    fn insert(&mut self, key: K, value: V) {
        if self.map.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.map.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_map_forgets_the_oldest() {
        let mut map = Bounded::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            map.insert(key, value);
        }
        assert_eq!([1, 2, 3].map(|key| map.get(&key).copied()), [None, Some('b'), Some('d')]);
        assert_eq!(map.map.len(), map.order.len());
    }
}
