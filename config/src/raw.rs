//! What may be typed: every key of SPEC section 9, each optional, nothing of it checked but its type.
//!
//! The one list of keys. The schema that `config schema` prints is made from it, and that schema is
//! what unknown keys and wrong types are found with; the doc comments here are its descriptions.

use crate::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};

/// The routing file of a Lobstah node, `lobstah.toml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The local OpenAI-compatible endpoint that tools talk to.
    pub gateway: RawGateway,
    /// The engine on this machine.
    pub ollama: RawOllama,
    /// Work that this node does for others.
    pub worker: RawWorker,
    /// What others may spend here.
    pub credit: RawCredit,
    /// How nodes find each other; all participation is opt-in.
    pub discovery: RawDiscovery,
    /// Files that tools upload for batches.
    pub files: RawFiles,
    /// Friends: nodes that are known by their key.
    pub peers: Vec<RawPeer>,
    /// Any other OpenAI-compatible servers.
    pub upstreams: Vec<RawUpstream>,
    /// Which model goes where; the first entry whose glob matches decides.
    pub routes: Vec<RawRoute>,
}

/// The local OpenAI-compatible endpoint that tools talk to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGateway {
    /// Address and port. Beyond loopback it needs `api_keys`.
    #[schemars(example = "127.0.0.1:17475")]
    pub listen: Option<String>,
    /// Keys, one of which a tool must send as `Authorization: Bearer …`. Empty: none is asked for.
    pub api_keys: Option<Vec<Secret>>,
    /// A longer request body is refused with 413.
    pub max_body: Option<RawSize>,
    /// Output tokens that are ordered of a peer when the tool names no maximum.
    pub max_output_tokens: Option<u64>,
    /// Credits per 1000 tokens, of the prompt or of the answer: a worker that asks for more is not used.
    pub max_price: Option<u64>,
    /// Requests that may wait for a free upstream; beyond it 429.
    pub queue: Option<usize>,
    /// How long a request waits for a free upstream; then 429.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub max_wait: Option<String>,
    /// How long what is in flight may take after SIGTERM.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub drain: Option<String>,
    /// Further Host names that it answers to on loopback, without a port.
    pub hosts: Option<Vec<String>>,
    /// Web origins (scheme://host:port) that may call it from a browser.
    pub cors_origins: Option<Vec<String>>,
}

/// The engine on this machine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOllama {
    /// Where Ollama listens. `OLLAMA_HOST` sets it too, read as Ollama reads it.
    #[schemars(example = "http://127.0.0.1:11434")]
    pub url: Option<String>,
    /// Requests of ours in it at once; beyond it, the route's next target.
    #[schemars(range(min = 1))]
    pub concurrency: Option<usize>,
}

/// Work that this node does for others.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawWorker {
    /// Whether `lobstah up` starts the worker.
    pub enabled: Option<bool>,
    /// Address and port for other nodes.
    #[schemars(example = "127.0.0.1:17474")]
    pub listen: Option<String>,
    /// What this worker is good for.
    #[schemars(extend("enum" = ["interactive", "batch", "best-effort"]))]
    pub tier: Option<String>,
    /// Requests in the engine at once.
    #[schemars(range(min = 1))]
    pub concurrency: Option<usize>,
    /// Requests that may wait; beyond it 429.
    pub queue: Option<usize>,
    /// Globs: which of Ollama's models are offered. Ollama's cloud models never are, unless named.
    pub models: Option<Vec<String>>,
    /// How long one request may be in the engine.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub max_time: Option<String>,
    /// Tokens of context that a long prompt, the owner's own too, may ask Ollama for. Needs memory: see `ollama ps`.
    #[schemars(range(min = 1))]
    pub max_context: Option<u64>,
    /// When the machine works for others.
    #[schemars(extend("enum" = ["always"]))]
    pub share: Option<String>,
}

/// What others may spend here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCredit {
    /// Credits that a worker lends a key it has never seen, once.
    pub newcomer_allowance: Option<u64>,
    /// Credits that all such keys together may take in a day.
    pub newcomer_pool_per_day: Option<u64>,
    /// Credits per day for requests without an order, all together.
    pub anonymous: Option<u64>,
    /// Believe the unproven requester header of version 1 gateways.
    pub trust_requester_header: Option<bool>,
    /// Credits per 1000 tokens, by model.
    pub prices: Option<BTreeMap<String, RawPrice>>,
}

/// What a model costs, in credits per 1000 tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPrice {
    /// For 1000 tokens of the prompt; 1000 if left out.
    pub input: Option<u64>,
    /// For 1000 tokens of the answer; 1000 if left out.
    pub output: Option<u64>,
}

/// How nodes find each other; all participation is opt-in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDiscovery {
    /// Learn of workers from relays and trackers.
    pub subscribe: Option<bool>,
    /// Announce this worker on relays and trackers.
    pub publish: Option<bool>,
    /// The URL that is announced: scheme, host and port. Empty: made from `worker.listen`.
    pub announce_url: Option<String>,
    /// What this node calls itself where it announces itself. Empty: nothing.
    pub announce_label: Option<String>,
    /// Nostr relays (ws or wss).
    pub relays: Option<Vec<String>>,
    /// Trackers (http or https), for where WebSockets are blocked.
    pub trackers: Option<Vec<String>>,
    /// How long an announcement counts; at most 24h.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub ttl: Option<String>,
    /// Make receipts public on the relays.
    pub publish_receipts: Option<bool>,
    /// Take announced URLs in private address ranges.
    pub allow_private: Option<bool>,
}

/// Files that tools upload for batches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawFiles {
    /// A longer file is refused with 413.
    pub max: Option<RawSize>,
}

/// A friend: a node that is known by its key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPeer {
    /// Its key: `lob1` and 64 lower-case hex digits. Needed.
    #[schemars(extend("pattern" = "^lob1[0-9a-f]{64}$"))]
    pub pubkey: Option<String>,
    /// Where it serves. Left out for a friend who only spends.
    pub url: Option<String>,
    /// What you call it.
    pub label: Option<String>,
    /// Credits that we lend it; 100000 if left out.
    pub credit_limit: Option<u64>,
    /// It runs the first Lobstah, which cannot prove who asks.
    pub version1: Option<bool>,
}

/// Any other OpenAI-compatible server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawUpstream {
    /// What routes call it. Needed.
    pub name: Option<String>,
    /// Its base URL, as OpenAI's clients take it. Needed.
    #[schemars(example = "https://api.openai.com/v1")]
    pub url: Option<String>,
    /// The environment variable that holds its API key.
    pub api_key_env: Option<String>,
    /// Globs: which models it has; all if left out.
    pub models: Option<Vec<String>>,
}

/// Where the models go that a glob matches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRoute {
    /// A glob over the model's name: `*` and `?`. Needed.
    pub model: Option<String>,
    /// The model that local, friends and network are asked for in its place.
    #[serde(rename = "use")]
    pub use_model: Option<String>,
    /// `local`, `friends`, `network` and names of upstreams, in this order; `["local", "friends"]` if left out.
    pub to: Option<Vec<String>>,
    /// The tier that is asked for.
    #[schemars(extend("enum" = ["interactive", "batch", "best-effort"]))]
    pub tier: Option<String>,
    /// How long to wait for the first byte; `10m` if left out.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub first_byte_timeout: Option<String>,
    /// How long a worker may be silent within a stream; `45s` if left out.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub silence_timeout: Option<String>,
    /// How long a whole answer may take; `60m` if left out.
    #[schemars(extend("pattern" = SPAN_PATTERN))]
    pub answer_timeout: Option<String>,
}

/// A size as it may be typed: a number of bytes, or text with a unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum RawSize {
    /// `1048576`
    Bytes(u64),
    /// `"32MiB"`
    Text(String),
}

const SPAN_PATTERN: &str = r"^[0-9]+(ms|s|m|h|d)$";

impl JsonSchema for RawSize {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^[0-9]+ ?(B|KB|MB|GB|KiB|MiB|GiB)?$",
            "examples": ["32MiB"],
        })
    }
}
