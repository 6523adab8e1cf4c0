//! Strangers for tests: real keys, real signatures, real events.
#![allow(dead_code, reason = "each test file uses some of it")]

use discovery::event::{Checked, Rules, announcement_event, read};
use nostr_sdk::{Event, Keys, SecretKey};
use protocol::{
    Announcement, Capacity, Keypair, ModelName, Price, Tier, Timestamp, TokensPerSecond, Verified,
};

/// A moment, in Unix seconds and as a timestamp.
pub(crate) const NOW_S: u64 = 1_790_000_000;
pub(crate) const NOW: Timestamp = Timestamp::from_millis(NOW_S * 1000);

/// What an owner has set who allows nothing in particular.
pub(crate) const RULES: Rules = Rules::Dialled { allow_private: false, block_private: false };

pub(crate) fn seconds(n: u64) -> Timestamp {
    Timestamp::from_millis((NOW_S + n) * 1000)
}

pub(crate) fn node(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

/// A Nostr key.
pub(crate) fn nostr(seed: u8) -> Keys {
    Keys::new(SecretKey::from_slice(&[seed; 32]).unwrap())
}

pub(crate) fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

/// What node `seed` says at `NOW`, with everything that can be said.
pub(crate) fn saying(seed: u8) -> Announcement {
    Announcement {
        node: node(seed).node_id(),
        url: format!("https://node-{seed}.example.net:17474").parse().unwrap(),
        ttl_seconds: 300,
        announced_at: NOW,
        label: Some(format!("node {seed}")),
        models: Some(vec![model("llama3.1:8b"), model("qwen2.5")]),
        tier: Tier::Interactive,
        capacity: Some(Capacity {
            concurrency: 4,
            queue_depth: 64,
            tokens_per_second: [(model("llama3.1:8b"), TokensPerSecond::new(42.5).unwrap())].into(),
        }),
        prices: Some([(model("qwen2.5:latest"), Price { input: 500, output: 1500 })].into()),
        protocol: 2,
        nostr_pubkey: None,
    }
}

/// `announcement`, signed by node `seed`.
pub(crate) fn signed(seed: u8, announcement: Announcement) -> Verified<Announcement> {
    Verified::sign(announcement, &node(seed)).unwrap()
}

/// What node `seed` says, published by the Nostr key of the same seed at `NOW`.
pub(crate) fn event(seed: u8) -> Event {
    announcement_event(&signed(seed, saying(seed)), &nostr(seed), NOW_S)
}

pub(crate) fn checked(event: &Event) -> Checked {
    read(event, NOW, RULES).unwrap()
}
