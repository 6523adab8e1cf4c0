//! The worker's signed statement of what an exchange cost (SPEC section 3).

use crate::{
    Body, ModelName, NodeId, Rejected, Timestamp, Usage,
    limits::{CLOCK_SKEW_MS, INTEGER_MAX},
};
use serde_json::{Map, Value, json};
use std::fmt;

/// Who owes for an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requester {
    /// A node.
    Node(NodeId),
    /// Nobody said who asked.
    Anonymous,
}

impl Requester {
    /// The node, if one is named.
    pub fn node(self) -> Option<NodeId> {
        match self {
            Requester::Node(id) => Some(id),
            Requester::Anonymous => None,
        }
    }
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requester::Node(id) => id.fmt(f),
            Requester::Anonymous => f.write_str("anonymous"),
        }
    }
}

impl std::str::FromStr for Requester {
    type Err = crate::node_id::NotANodeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "anonymous" { Ok(Requester::Anonymous) } else { text.parse().map(Requester::Node) }
    }
}

/// 16 random bytes that no two receipts share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The fields of a receipt that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// UUID of this piece of work, chosen by the worker.
    pub job_id: String,
    /// Makes the receipt one of a kind.
    pub nonce: Nonce,
    /// Who owes.
    pub requester: Requester,
    /// Who earned, and signs.
    pub worker: NodeId,
    /// The model that ran.
    pub model: ModelName,
    /// What the engine counted.
    pub usage: Usage,
    /// When the engine was asked.
    pub started_at: Timestamp,
    /// When the engine was done.
    pub completed_at: Timestamp,
}

impl Receipt {
    /// Whether `completedAt` is within five minutes of `now`, before or after, inclusive.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.as_millis().abs_diff(self.completed_at.as_millis()) <= CLOCK_SKEW_MS
    }
}

impl Body for Receipt {
    const NAME: &'static str = "receipt";
    const DOMAIN: &'static str = "";

    fn signer(&self) -> NodeId {
        self.worker
    }

    fn from_value(value: &Value) -> Result<Self, Rejected> {
        let fields = Fields(value);
        if fields.integer("version")? != 1 {
            return Err(Rejected::UnsupportedVersion);
        }
        Ok(Self {
            job_id: uuid(fields.text("jobId")?)?,
            nonce: nonce(fields.text("nonce")?)?,
            requester: fields.parsed("requesterPubkey")?,
            worker: fields.parsed("workerPubkey")?,
            model: fields.parsed("model")?,
            usage: Usage {
                input_tokens: fields.integer("inputTokens")?,
                output_tokens: fields.integer("outputTokens")?,
            },
            started_at: Timestamp::from_millis(fields.integer("startedAt")?),
            completed_at: Timestamp::from_millis(fields.integer("completedAt")?),
        })
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("version".into(), json!(1));
        object.insert("jobId".into(), json!(self.job_id));
        object.insert("nonce".into(), json!(hex::encode(self.nonce.0)));
        object.insert("requesterPubkey".into(), json!(self.requester.to_string()));
        object.insert("workerPubkey".into(), json!(self.worker));
        object.insert("model".into(), json!(self.model));
        object.insert("inputTokens".into(), json!(self.usage.input_tokens));
        object.insert("outputTokens".into(), json!(self.usage.output_tokens));
        object.insert("startedAt".into(), json!(self.started_at));
        object.insert("completedAt".into(), json!(self.completed_at));
        Value::Object(object)
    }
}

/// Reads members of an object, naming the one that is wrong.
pub(crate) struct Fields<'v>(pub(crate) &'v Value);

impl<'v> Fields<'v> {
    pub(crate) fn text(&self, name: &str) -> Result<&'v str, Rejected> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Rejected::malformed(format!("`{name}` is not a text")))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, Rejected> {
        let number = self.0.get(name).and_then(whole_number);
        number.ok_or_else(|| Rejected::malformed(format!("`{name}` is not an integer from 0 to 2^53 - 1")))
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, Rejected>
    where
        T::Err: fmt::Display,
    {
        self.text(name)?.parse().map_err(|e| Rejected::malformed(format!("`{name}`: {e}")))
    }
}

/// JSON does not tell 5 from 5.0 or 5e0, and their canonical form is the same: all are read as 5.
fn whole_number(value: &Value) -> Option<u64> {
    let number = match value.as_u64() {
        Some(integer) => integer,
        None => {
            let double =
                value.as_f64().filter(|d| d.fract() == 0.0 && *d >= 0.0 && *d <= INTEGER_MAX as f64)?;
            double as u64
        }
    };
    (number <= INTEGER_MAX).then_some(number)
}

/// Text of 8-4-4-4-12 hex digits.
fn uuid(text: &str) -> Result<String, Rejected> {
    let shape = text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    shape.then(|| text.to_owned()).ok_or_else(|| Rejected::malformed("`jobId` is not a UUID"))
}

fn nonce(text: &str) -> Result<Nonce, Rejected> {
    let mut bytes = [0; 16];
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if lower => Ok(Nonce(bytes)),
        _ => Err(Rejected::malformed("`nonce` is not 32 lower-case hex digits")),
    }
}
