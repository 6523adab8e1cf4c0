//! The worker's signed statement of what an exchange cost (SPEC sections 3 and 4).
//!
//! One that answers an order says more than version 1 knows, under the same signature: to a version 1
//! node those are fields that it ignores.

use crate::{Body, Credits, ModelName, NodeId, Rejected, Timestamp, Usage, limits::CLOCK_SKEW_MS};
use serde_json::{Map, Value, json};
use std::fmt;

pub(crate) use crate::fields::Fields;

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
    /// What it says of the order that it answers; `None` in version 1, and where there was no order.
    pub answers: Option<Answer>,
}

/// What a receipt that answers an order says beyond version 1 (SPEC section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The order: SHA-256 of canonical(`{"order":…,"signature":…}`).
    pub order_sha256: [u8; 32],
    /// SHA-256 of the first [`Answer::response_bytes`] of the answer's body, as the worker sent them;
    /// of a job, of canonical(`result`).
    pub response_sha256: [u8; 32],
    /// How many bytes those are: the whole body, or of a stream all before the receipt's comment.
    pub response_bytes: Option<u64>,
    /// What is charged.
    pub credits: Credits,
    /// Ollama's digest of the model that ran, where it is known.
    pub model_digest: Option<[u8; 32]>,
    /// The requester left, or the way to it broke, before the end.
    pub cut: bool,
    /// The tokens are the worker's estimate: the engine did not say.
    pub estimated: bool,
    /// How many tokens of context the engine ran with, where the worker says.
    pub context: Option<u64>,
}

impl Receipt {
    /// Whether `completedAt` is within five minutes of `now`, before or after, inclusive.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.as_millis().abs_diff(self.completed_at.as_millis()) <= CLOCK_SKEW_MS
    }
}

impl Answer {
    /// A receipt answers an order when it names one; then all that it says of it must be well-formed.
    /// Where it names none the other fields mean nothing: version 1 may use them as it likes.
    fn from_value(fields: &Fields<'_>) -> Result<Option<Self>, Rejected> {
        let Some(order_sha256) = fields.maybe("orderSha256", Fields::bytes)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            order_sha256,
            response_sha256: fields.bytes("responseSha256")?,
            response_bytes: fields.maybe("responseBytes", Fields::integer)?,
            credits: fields.credits("credits")?,
            model_digest: fields.maybe("modelDigest", Fields::bytes)?,
            cut: fields.flag("cut")?,
            estimated: fields.flag("estimated")?,
            context: fields.maybe("context", Fields::integer)?,
        }))
    }

    fn write(&self, object: &mut Map<String, Value>) {
        object.insert("orderSha256".into(), json!(hex::encode(self.order_sha256)));
        object.insert("responseSha256".into(), json!(hex::encode(self.response_sha256)));
        object.insert("credits".into(), json!(self.credits));
        if let Some(bytes) = self.response_bytes {
            object.insert("responseBytes".into(), json!(bytes));
        }
        if let Some(digest) = &self.model_digest {
            object.insert("modelDigest".into(), json!(hex::encode(digest)));
        }
        if self.cut {
            object.insert("cut".into(), json!(true));
        }
        if self.estimated {
            object.insert("estimated".into(), json!(true));
        }
        if let Some(tokens) = self.context {
            object.insert("context".into(), json!(tokens));
        }
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
            job_id: fields.uuid("jobId")?,
            nonce: Nonce(fields.bytes("nonce")?),
            requester: fields.parsed("requesterPubkey")?,
            worker: fields.parsed("workerPubkey")?,
            model: fields.parsed("model")?,
            usage: Usage {
                input_tokens: fields.integer("inputTokens")?,
                output_tokens: fields.integer("outputTokens")?,
            },
            started_at: fields.time("startedAt")?,
            completed_at: fields.time("completedAt")?,
            answers: Answer::from_value(&fields)?,
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
        if let Some(answer) = &self.answers {
            answer.write(&mut object);
        }
        Value::Object(object)
    }
}
