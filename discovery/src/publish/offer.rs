//! What a node offers to strangers.

use protocol::{Announcement, Capacity, ModelName, NodeId, Price, Tier, Timestamp, limits::TTL_SECONDS_MAX};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use url::Url;

/// What this project's workers speak (SPEC section 5).
pub const PROTOCOL: u8 = 2;

/// What is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where others reach the worker: scheme, host and port.
    pub url: Url,
    /// What its owner calls it.
    pub label: Option<String>,
    /// What it serves.
    pub models: Vec<ModelName>,
    /// What it is good for.
    pub tier: Tier,
    /// Its room and speed. It is full when `queue_depth` reaches `concurrency`.
    pub capacity: Option<Capacity>,
    /// What it charges, where that is not 1000 and 1000.
    pub prices: BTreeMap<ModelName, Price>,
    /// How long an announcement counts; at most a day.
    pub ttl: Duration,
}

impl Offer {
    /// Whether others have to know of the change from `before` at once. How fast the models run, and
    /// how much room is left while there is some, changes with every request: that waits for the next
    /// heartbeat.
    pub(crate) fn differs(&self, before: &Offer) -> bool {
        let models = |offer: &Offer| offer.models.iter().cloned().collect::<BTreeSet<_>>();
        let room = |offer: &Offer| {
            let capacity = offer.capacity.as_ref();
            capacity.map(|capacity| (capacity.concurrency, capacity.queue_depth >= capacity.concurrency))
        };
        self.url != before.url
            || self.label != before.label
            || self.tier != before.tier
            || self.prices != before.prices
            || self.ttl != before.ttl
            || room(self) != room(before)
            || models(self) != models(before)
    }

    /// As it is signed.
    pub(crate) fn announcement(
        &self,
        node: NodeId,
        nostr_pubkey: [u8; 32],
        announced_at: Timestamp,
    ) -> Announcement {
        Announcement {
            node,
            url: self.url.clone(),
            ttl_seconds: self.ttl.as_secs().clamp(1, TTL_SECONDS_MAX),
            announced_at,
            label: self.label.clone(),
            models: Some(self.models.clone()),
            tier: self.tier,
            capacity: self.capacity.clone(),
            prices: (!self.prices.is_empty()).then(|| self.prices.clone()),
            protocol: PROTOCOL,
            nostr_pubkey: Some(nostr_pubkey),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::TokensPerSecond;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    pub(crate) fn offer() -> Offer {
        Offer {
            url: "https://mini.example.net:17474".parse().unwrap(),
            label: Some("mini".into()),
            models: vec![name("llama3.1:8b"), name("qwen2.5:7b")],
            tier: Tier::Batch,
            capacity: Some(Capacity {
                concurrency: 2,
                queue_depth: 0,
                tokens_per_second: [(name("llama3.1:8b"), TokensPerSecond::new(40.0).unwrap())].into(),
            }),
            prices: [(name("llama3.1:8b"), Price { input: 500, output: 1500 })].into(),
            ttl: Duration::from_secs(300),
        }
    }

    #[test]
    fn only_what_others_must_know_at_once_is_a_difference() {
        let changed = |change: &dyn Fn(&mut Offer)| {
            let mut changed = offer();
            change(&mut changed);
            changed.differs(&offer())
        };
        let room =
            |offer: &mut Offer, queue_depth| offer.capacity.as_mut().unwrap().queue_depth = queue_depth;
        assert!(!changed(&|_| ()));
        assert!(!changed(&|offer| offer.models.reverse()));
        assert!(!changed(&|offer| room(offer, 1)), "there is room left");
        assert!(!changed(&|offer| offer.capacity.as_mut().unwrap().tokens_per_second.clear()));
        assert!(changed(&|offer| room(offer, 64)), "it is full");
        assert!(changed(&|offer| offer.capacity = None));
        assert!(changed(&|offer| drop(offer.models.pop())));
        assert!(changed(&|offer| offer.tier = Tier::Interactive));
        assert!(changed(&|offer| offer.prices.clear()));
        assert!(changed(&|offer| offer.url.set_port(Some(1)).unwrap()));
        assert!(changed(&|offer| offer.label = None));
        assert!(changed(&|offer| offer.ttl *= 2));
    }
}
