//! Which upstreams have seen which openings of prompts: an engine that has one in its cache begins sooner.

use protocol::ModelName;
use std::collections::{HashMap, VecDeque};
use work::Opening;

/// So many openings are remembered; the oldest is forgotten first.
const OPENINGS_MAX: usize = 4096;

/// So many upstreams are remembered for one, the latest.
const HOSTS_MAX: usize = 16;

type Key = (ModelName, Opening);

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Warm {
    seen: HashMap<Key, VecDeque<String>>,
    order: VecDeque<Key>,
}

impl Warm {
    /// Whether this upstream has answered a prompt that opens so.
    pub(super) fn is_warm(&self, model: &ModelName, opening: Opening, upstream: &str) -> bool {
        // Cloning a name to look it up costs less than a second level of maps.
        let hosts = self.seen.get(&(model.clone(), opening));
        opening != Opening::default() && hosts.is_some_and(|hosts| hosts.iter().any(|host| host == upstream))
    }

    /// It has.
    pub(super) fn note(&mut self, model: &ModelName, opening: Opening, upstream: &str) {
        if opening == Opening::default() || self.is_warm(model, opening, upstream) {
            return;
        }
        let key = (model.clone(), opening);
        if !self.seen.contains_key(&key) {
            if self.order.len() >= OPENINGS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.seen.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let hosts = self.seen.entry(key).or_default();
        if hosts.len() >= HOSTS_MAX {
            hosts.pop_front();
        }
        hosts.push_back(upstream.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_remembered_by_model_and_the_memory_is_bounded() {
        let model: ModelName = "m:1".parse().unwrap();
        let mut warm = Warm::default();
        for opening in 1..=OPENINGS_MAX as u64 + 1 {
            warm.note(&model, Opening(opening), "local");
        }
        assert!(!warm.is_warm(&model, Opening(1), "local"), "the oldest is forgotten");
        assert!(warm.is_warm(&model, Opening(2), "local"));
        assert!(!warm.is_warm(&"m:2".parse().unwrap(), Opening(2), "local"));
        for host in 0..HOSTS_MAX {
            warm.note(&model, Opening(2), &host.to_string());
        }
        assert!(!warm.is_warm(&model, Opening(2), "local"));
        warm.note(&model, Opening::default(), "local");
        assert!(!warm.is_warm(&model, Opening::default(), "local"), "embeddings keep no prompt");
    }
}
