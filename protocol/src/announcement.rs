//! A worker's signed, expiring claim of what it serves (SPEC section 5).

use crate::{
    Body, ModelName, NodeId, Rejected, Timestamp,
    limits::{ANNOUNCED_MODELS_MAX, CLOCK_SKEW_MS, LABEL_BYTES_MAX, TTL_SECONDS_MAX, URL_BYTES_MAX},
    receipt::Fields,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

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
}

impl Announcement {
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
