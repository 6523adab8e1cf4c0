//! A worker's signed, expiring claim of what it serves (SPEC section 5).

use crate::{
    Body, Capacity, ModelName, NodeId, Price, Rejected, Timestamp, capacity,
    limits::{ANNOUNCED_MODELS_MAX, CLOCK_SKEW_MS, LABEL_BYTES_MAX, TTL_SECONDS_MAX, URL_BYTES_MAX},
    receipt::Fields,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use url::Url;

/// The protocol of an announcement that does not say: the first Lobstah's.
pub const PROTOCOL_UNSAID: u8 = 1;

/// What a worker is good for. Absent or unknown means [`Tier::BestEffort`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Answers while somebody waits.
    Interactive,
    /// Long work, overnight.
    Batch,
    /// Whatever is left over.
    #[default]
    BestEffort,
}

impl Tier {
    /// Reads a tier as another node wrote it; unknown ones are [`Tier::BestEffort`].
    pub fn from_wire(text: &str) -> Self {
        match text {
            "interactive" => Tier::Interactive,
            "batch" => Tier::Batch,
            _ => Tier::BestEffort,
        }
    }

    /// As written on the wire and in `lobstah.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::Interactive => "interactive",
            Tier::Batch => "batch",
            Tier::BestEffort => "best-effort",
        }
    }
}

/// Whether an announcement counts at a given moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It counts.
    Live,
    /// Older than its time to live.
    Stale,
    /// More than five minutes ahead of our clock.
    Future,
}

/// The fields of an announcement that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Who announces, and signs.
    pub node: NodeId,
    /// Where it can be reached: http or https. Whether it may be dialled is the caller's to check.
    pub url: Url,
    /// How long it counts from `announced_at`; at most a day.
    pub ttl_seconds: u64,
    /// When it was made.
    pub announced_at: Timestamp,
    /// What its owner calls it.
    pub label: Option<String>,
    /// What it serves; `None` if it does not say.
    pub models: Option<Vec<ModelName>>,
    /// What it is good for.
    pub tier: Tier,
    /// How much it takes and how fast it is; `None` if it does not say, or says it wrongly.
    pub capacity: Option<Capacity>,
    /// What it charges, by model; `None` if it does not say, or says it wrongly.
    pub prices: Option<BTreeMap<ModelName, Price>>,
    /// What it speaks: 2 for this project's workers, [`PROTOCOL_UNSAID`] if it does not say.
    pub protocol: u8,
    /// The only Nostr key that may publish it (BIP 340, x-only); anybody's if `None`. A malformed one
    /// makes the announcement malformed: read as absent it would let everybody publish.
    pub nostr_pubkey: Option<[u8; 32]>,
}

impl Announcement {
    /// The last moment at which it is live.
    pub const fn lives_until(&self) -> Timestamp {
        let ttl_ms = self.ttl_seconds.saturating_mul(1000);
        Timestamp::from_millis(self.announced_at.as_millis().saturating_add(ttl_ms))
    }

    /// Whether it counts at `now`. Both bounds are inclusive.
    pub fn liveness(&self, now: Timestamp) -> Liveness {
        if self.announced_at.millis_since(now) > CLOCK_SKEW_MS {
            Liveness::Future
        } else if now.millis_since(self.announced_at) > self.ttl_seconds * 1000 {
            Liveness::Stale
        } else {
            Liveness::Live
        }
    }
}

impl Body for Announcement {
    const NAME: &'static str = "announcement";
    const DOMAIN: &'static str = "";

    fn signer(&self) -> NodeId {
        self.node
    }

    fn from_value(value: &Value) -> Result<Self, Rejected> {
        let fields = Fields(value);
        if fields.integer("version")? != 1 {
            return Err(Rejected::UnsupportedVersion);
        }
        Ok(Self {
            node: fields.parsed("pubkey")?,
            url: url(fields.text("url")?)?,
            ttl_seconds: fields.integer("ttlSeconds")?.min(TTL_SECONDS_MAX),
            announced_at: Timestamp::from_millis(fields.integer("announcedAt")?),
            label: value.get("label").map(|_| label(fields.text("label")?)).transpose()?,
            models: value.get("models").map(models).transpose()?,
            tier: value.get("tier").and_then(Value::as_str).map(Tier::from_wire).unwrap_or_default(),
            capacity: value.get("capacity").and_then(Capacity::from_wire),
            prices: value.get("prices").and_then(|prices| capacity::by_model(prices, Price::from_wire)),
            protocol: protocol(&fields),
            nostr_pubkey: value
                .get("nostrPubkey")
                .map(|_| nostr_key(fields.text("nostrPubkey")?))
                .transpose()?,
        })
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("version".into(), json!(1));
        object.insert("pubkey".into(), json!(self.node));
        object.insert("url".into(), json!(self.url.as_str().trim_end_matches('/')));
        object.insert("ttlSeconds".into(), json!(self.ttl_seconds));
        object.insert("announcedAt".into(), json!(self.announced_at));
        object.insert("tier".into(), json!(self.tier.as_str()));
        if let Some(label) = &self.label {
            object.insert("label".into(), json!(label));
        }
        if let Some(models) = &self.models {
            object.insert("models".into(), json!(models));
        }
        if let Some(capacity) = &self.capacity {
            object.insert("capacity".into(), capacity.to_wire());
        }
        if let Some(prices) = &self.prices {
            object.insert("prices".into(), json!(prices));
        }
        if self.protocol != PROTOCOL_UNSAID {
            object.insert("protocol".into(), json!(self.protocol));
        }
        if let Some(key) = &self.nostr_pubkey {
            object.insert("nostrPubkey".into(), json!(hex::encode(key)));
        }
        Value::Object(object)
    }
}

fn url(text: &str) -> Result<Url, Rejected> {
    let parsed = Url::parse(text).ok().filter(|_| text.len() <= URL_BYTES_MAX);
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| Rejected::malformed("`url` is not an http or https URL"))
}

fn label(text: &str) -> Result<String, Rejected> {
    if text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Rejected::malformed("`label` is too long or not printable"));
    }
    Ok(text.to_owned())
}

fn models(value: &Value) -> Result<Vec<ModelName>, Rejected> {
    let list = value.as_array().filter(|list| list.len() <= ANNOUNCED_MODELS_MAX);
    let list = list.ok_or_else(|| Rejected::malformed("`models` is not a list of at most 512 names"))?;
    let names = list.iter().map(|name| name.as_str().and_then(|text| text.parse().ok()));
    names
        .collect::<Option<_>>()
        .ok_or_else(|| Rejected::malformed("`models` holds something that is no name"))
}

fn protocol(fields: &Fields<'_>) -> u8 {
    fields.integer("protocol").ok().and_then(|number| number.try_into().ok()).unwrap_or(PROTOCOL_UNSAID)
}

fn nostr_key(text: &str) -> Result<[u8; 32], Rejected> {
    let mut key = [0; 32];
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    match hex::decode_to_slice(text, &mut key) {
        Ok(()) if lower => Ok(key),
        _ => Err(Rejected::malformed("`nostrPubkey` is not 64 lower-case hex digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keypair, Signed, TokensPerSecond, Verified};

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn full() -> Announcement {
        Announcement {
            node: Keypair::from_seed(&[1; 32]).node_id(),
            url: "https://mini.example.net:17474".parse().unwrap(),
            ttl_seconds: 300,
            announced_at: Timestamp::from_millis(1_790_000_000_000),
            label: Some("mini".into()),
            models: Some(vec![name("llama3.1:8b")]),
            tier: Tier::Batch,
            capacity: Some(Capacity {
                concurrency: 4,
                queue_depth: 64,
                tokens_per_second: [(name("llama3.1:8b"), TokensPerSecond::new(42.5).unwrap())].into(),
            }),
            prices: Some([(name("llama3.1:8b"), Price { input: 500, output: 1500 })].into()),
            protocol: 2,
            nostr_pubkey: Some([7; 32]),
        }
    }

    fn changed(field: &str, value: Value) -> Result<Announcement, Rejected> {
        let mut object = full().to_value();
        object[field] = value;
        Announcement::from_value(&object)
    }

    #[test]
    fn what_this_project_adds_comes_back_as_it_was_signed() {
        let ours = Verified::sign(full(), &Keypair::from_seed(&[1; 32])).unwrap();
        let read = Signed::<Announcement>::parse(ours.to_json().as_bytes()).unwrap().verify().unwrap();
        assert_eq!(*read, full());
        let plain = Announcement { capacity: None, prices: None, protocol: 1, nostr_pubkey: None, ..full() };
        let value = plain.to_value();
        for field in ["capacity", "prices", "protocol", "nostrPubkey"] {
            assert_eq!(value.get(field), None, "{field}");
        }
        assert_eq!(Announcement::from_value(&value).unwrap(), plain);
    }

    #[test]
    fn what_is_said_wrongly_counts_as_not_said() {
        for capacity in [
            json!(4),
            json!({"concurrency": 0, "queueDepth": 1}),
            json!({"concurrency": -1, "queueDepth": 1}),
            json!({"concurrency": 1}),
            json!({"concurrency": 1, "queueDepth": 1, "tokensPerSecond": {"m": 0}}),
            json!({"concurrency": 1, "queueDepth": 1, "tokensPerSecond": {"m": -3.5}}),
            json!({"concurrency": 1, "queueDepth": 1, "tokensPerSecond": {"": 1}}),
            json!({"concurrency": 1, "queueDepth": 1, "tokensPerSecond": [1]}),
        ] {
            assert_eq!(changed("capacity", capacity.clone()).unwrap().capacity, None, "{capacity}");
        }
        for prices in [
            json!([]),
            json!({"m": 1}),
            json!({"m": {"input": 1}}),
            json!({"m": {"input": 1, "output": 0.5}}),
        ] {
            assert_eq!(changed("prices", prices.clone()).unwrap().prices, None, "{prices}");
        }
        for protocol in [json!("2"), json!(-1), json!(256), json!(null)] {
            assert_eq!(changed("protocol", protocol).unwrap().protocol, PROTOCOL_UNSAID);
        }
        let unsaid =
            changed("capacity", json!({"concurrency": 1, "queueDepth": 0})).unwrap().capacity.unwrap();
        assert_eq!((unsaid.concurrency, unsaid.tokens_per_second.len()), (1, 0));
    }

    #[test]
    fn a_table_of_more_models_than_may_be_announced_counts_as_not_said() {
        let table = |len: usize| (0..len).map(|n| (format!("m{n}"), json!({"input": 1, "output": 1})));
        let prices = |len| changed("prices", Value::Object(table(len).collect())).unwrap().prices;
        assert!(prices(crate::limits::ANNOUNCED_TABLE_MAX).is_some());
        assert!(prices(crate::limits::ANNOUNCED_TABLE_MAX + 1).is_none());
    }

    #[test]
    fn who_may_publish_is_never_guessed() {
        for key in [json!(null), json!(7), json!("07"), json!("AB".repeat(32)), json!("zz".repeat(32))] {
            assert!(changed("nostrPubkey", key).is_err());
        }
    }
}
