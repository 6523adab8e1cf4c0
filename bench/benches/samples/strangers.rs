//! Strangers as relays bring them: real keys, real signatures, and as much as a worker says of itself.
#![allow(dead_code, reason = "a bench and an example use some of it each")]

use discovery::{
    Roster, Rules, TakenIn,
    event::{announcement_event, read},
    roster::Limits,
};
use nostr_sdk::{Event, Keys, SecretKey};
use protocol::{
    Announcement, Capacity, Keypair, ModelName, Price, Tier, Timestamp, TokensPerSecond, Verified,
};

/// A moment, so that nothing here reads the clock.
pub(crate) const NOW_S: u64 = 1_790_000_000;
pub(crate) const NOW: Timestamp = Timestamp::from_millis(NOW_S * 1000);

pub(crate) const RULES: Rules = Rules::Dialled { allow_private: false, block_private: false };

/// How many workers have the model that few have.
pub(crate) const WITH_RARE: u64 = 500;

/// Three models of each worker, out of these.
const MODELS: [&str; 12] = [
    "llama3.1:8b",
    "qwen2.5:7b",
    "mistral:7b",
    "gemma2:9b",
    "phi3:mini",
    "llama3.2:3b",
    "qwen2.5-coder:14b",
    "deepseek-r1:8b",
    "nomic-embed-text",
    "llava:7b",
    "codellama:13b",
    "mixtral:8x7b",
];

pub(crate) fn model(name: &str) -> ModelName {
    name.parse().expect("a model's name")
}

/// The model that [`WITH_RARE`] of `of` workers have.
pub(crate) fn rare() -> ModelName {
    model("llama3.1:405b")
}

fn secret(kind: u64, n: u64) -> [u8; 32] {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&kind.to_be_bytes());
    bytes[8..16].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn saying(node: &Keypair, n: u64, of: u64) -> Announcement {
    let three = (0..3).map(|at| model(MODELS[(n as usize * 5 + at * 7) % MODELS.len()]));
    let is_rare = n.is_multiple_of((of / WITH_RARE).max(1));
    let models: Vec<ModelName> =
        if is_rare { three.take(2).chain([rare()]).collect() } else { three.collect() };
    let speed = |at: usize| TokensPerSecond::new(12.5 + ((n as usize + at) % 90) as f64).expect("a speed");
    let speeds = models.iter().enumerate().map(|(at, name)| (name.clone(), speed(at)));
    let price = (models[0].clone(), Price { input: 500, output: 1500 });
    Announcement {
        node: node.node_id(),
        url: format!("https://w{n:06}.example.net:17474").parse().expect("a URL"),
        ttl_seconds: 300,
        announced_at: NOW,
        label: Some(format!("worker-{n}")),
        capacity: Some(Capacity { concurrency: 4, queue_depth: 64, tokens_per_second: speeds.collect() }),
        prices: n.is_multiple_of(8).then(|| [price].into()),
        models: Some(models),
        tier: Tier::Batch,
        protocol: 2,
        nostr_pubkey: Some(nostr(n).public_key().to_bytes()),
    }
}

fn nostr(n: u64) -> Keys {
    Keys::new(SecretKey::from_slice(&secret(2, n)).expect("a secret key"))
}

/// The event of worker `n` among `of`.
pub(crate) fn event(n: u64, of: u64) -> Event {
    let node = Keypair::from_seed(&secret(1, n));
    let announcement = Verified::sign(saying(&node, n, of), &node).expect("it signs for itself");
    announcement_event(&announcement, &nostr(n), NOW_S)
}

/// A roster into which `of` workers were read, each through every check.
pub(crate) fn roster(of: u64) -> Roster<()> {
    let mut roster = Roster::new(Limits::default(), 1);
    for n in 0..of {
        let checked = read(&event(n, of), NOW, RULES).expect("a good event");
        assert_eq!(roster.take_in(checked, NOW), TakenIn::New);
    }
    roster
}
