//! The requester's signed word on a receipt (SPEC section 4): yes, or why not.
//!
//! It does not name its signer. Whose it must be stands in the order that it refers to, so an
//! acknowledgement is checked against a [`Claim`], and never alone.

use crate::{
    Keypair, NodeId, Order, Receipt, Rejected, Signed, Timestamp, Verified,
    fields::Fields,
    judge::Dispute,
    limits::{ACK_BYTES_MAX, ACKS_BYTES_MAX, ACKS_MAX, REASON_BYTES_MAX},
    signed,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{fmt, str::FromStr};

const NAME: &str = "ack";
const DOMAIN: &str = "lobstah/ack/2\n";
const VERSION: u64 = 2;

/// The fields of an acknowledgement that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The order: SHA-256 of canonical(`{"order":…,"signature":…}`).
    pub order_sha256: [u8; 32],
    /// The receipt: SHA-256 of canonical(`{"receipt":…,"signature":…}`).
    pub receipt_sha256: [u8; 32],
    /// What the requester says of it.
    pub verdict: Verdict,
    /// When it was said.
    pub at: Timestamp,
}

/// What a requester says of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Order, receipt and this make it settled.
    Ok,
    /// The claim stands in the worker's own reckoning until its owner forgives it.
    Dispute(Option<Reason>),
}

impl From<Dispute> for Verdict {
    fn from(dispute: Dispute) -> Self {
        // Each is shorter than the bound, which the tests see to.
        Verdict::Dispute(dispute.to_string().parse().ok())
    }
}

/// Why a receipt is disputed, for people to read: not empty, at most [`REASON_BYTES_MAX`] bytes, no
/// control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to {REASON_BYTES_MAX} bytes and no control characters")]
pub struct NotAReason;

impl FromStr for Reason {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Self, NotAReason> {
        if text.is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(NotAReason);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A receipt that waits for its acknowledgement, as both sides refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who ordered: the only one who can acknowledge.
    pub requester: NodeId,
    /// The order.
    pub order_sha256: [u8; 32],
    /// The receipt that answers it.
    pub receipt_sha256: [u8; 32],
}

impl Claim {
    /// `None` if the receipt does not answer this order.
    pub fn of(order: &Verified<Order>, receipt: &Verified<Receipt>) -> Option<Self> {
        let order_sha256 = order.signed().sha256();
        let answers =
            receipt.answers.as_ref()?.order_sha256 == order_sha256 && receipt.worker == order.worker;
        let receipt_sha256 = receipt.signed().sha256();
        answers.then_some(Self { requester: order.requester, order_sha256, receipt_sha256 })
    }
}

/// Why an acknowledgement does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckRefused {
    /// It does not verify with the key of who ordered.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It speaks of another order.
    #[error("names another order")]
    AnotherOrder,
    /// It speaks of a receipt that does not stand for this order.
    #[error("names another receipt than the one of this order")]
    AnotherReceipt,
}

impl Ack {
    /// Signs it. The caller is the requester of the order: with any other key it counts for nothing.
    pub fn sign(self, key: &Keypair) -> Result<Verified<Self>, Rejected> {
        let object = self.to_value();
        Verified::sign_as(NAME, DOMAIN, self, &object, key)
    }

    /// Reads `{"ack":{…},"signature":"<128 hex>"}` of at most [`ACK_BYTES_MAX`] bytes.
    pub fn parse(json: &[u8]) -> Result<Signed<Self>, Rejected> {
        Self::read(&signed::parse(json, ACK_BYTES_MAX)?)
    }

    fn read(statement: &Value) -> Result<Signed<Self>, Rejected> {
        let ack = Signed::read(NAME, statement, Self::from_value)?;
        if ack.to_json().len() > ACK_BYTES_MAX {
            return Err(Rejected::malformed(format!("longer than {ACK_BYTES_MAX} bytes")));
        }
        Ok(ack)
    }

    fn from_value(value: &Value) -> Result<Self, Rejected> {
        let fields = Fields(value);
        if fields.integer("version")? != VERSION {
            return Err(Rejected::UnsupportedVersion);
        }
        let verdict = match fields.text("verdict")? {
            "ok" => Verdict::Ok,
            "dispute" => Verdict::Dispute(fields.maybe("reason", Fields::parsed)?),
            _ => return Err(Rejected::malformed("`verdict` is neither `ok` nor `dispute`")),
        };
        Ok(Self {
            order_sha256: fields.bytes("orderSha256")?,
            receipt_sha256: fields.bytes("receiptSha256")?,
            verdict,
            at: fields.time("at")?,
        })
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("version".into(), json!(VERSION));
        object.insert("orderSha256".into(), json!(hex::encode(self.order_sha256)));
        object.insert("receiptSha256".into(), json!(hex::encode(self.receipt_sha256)));
        object.insert("at".into(), json!(self.at));
        let (verdict, reason) = match &self.verdict {
            Verdict::Ok => ("ok", None),
            Verdict::Dispute(reason) => ("dispute", reason.as_ref()),
        };
        object.insert("verdict".into(), json!(verdict));
        if let Some(Reason(text)) = reason {
            object.insert("reason".into(), json!(text));
        }
        Value::Object(object)
    }
}

impl Signed<Ack> {
    /// Checks that who ordered signed it, and of this very receipt; the only way from what was
    /// received to what settles a claim.
    pub fn verify_for(self, claim: &Claim) -> Result<Verified<Ack>, AckRefused> {
        if self.unverified().order_sha256 != claim.order_sha256 {
            return Err(AckRefused::AnotherOrder);
        }
        if self.unverified().receipt_sha256 != claim.receipt_sha256 {
            return Err(AckRefused::AnotherReceipt);
        }
        Ok(self.verify_as(DOMAIN, &claim.requester)?)
    }
}

/// Reads the body of `POST /v1/receipts/ack`, `{"acks":[…]}`: one result for each, in their order. It
/// is refused whole if it is no such list, longer than [`ACKS_BYTES_MAX`] bytes, or of more than
/// [`ACKS_MAX`].
pub fn read_batch(json: &[u8]) -> Result<Vec<Result<Signed<Ack>, Rejected>>, Rejected> {
    let body = signed::parse(json, ACKS_BYTES_MAX)?;
    let acks = body.get("acks").and_then(Value::as_array).filter(|acks| acks.len() <= ACKS_MAX);
    let acks = acks.ok_or_else(|| {
        Rejected::malformed(format!("`acks` is not a list of at most {ACKS_MAX} acknowledgements"))
    })?;
    Ok(acks.iter().map(Ack::read).collect())
}

/// The body of `POST /v1/receipts/ack`. The caller sends at most [`ACKS_MAX`] at a time.
pub fn write_batch<'a>(acks: impl IntoIterator<Item = &'a Verified<Ack>>) -> String {
    let acks: Vec<_> = acks.into_iter().map(Verified::to_json).collect();
    format!(r#"{{"acks":[{}]}}"#, acks.join(","))
}

/// What the worker answers to a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTaken {
    /// How many count, those included that counted before.
    pub accepted: usize,
    /// The others.
    pub refused: Vec<RefusedAck>,
}

/// One that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAck {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why, for people to read.
    pub reason: String,
}
