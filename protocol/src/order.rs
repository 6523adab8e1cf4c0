//! The requester's signed, bounded, expiring request to one worker (SPEC section 4).
//!
//! It authenticates the request and is the requester's half of the books. That an order is taken only
//! once, and what its requester may spend, is the ledger's to know.

use crate::{
    Body, Credits, ModelName, NodeId, Price, Rejected, Timestamp, Usage, Verified,
    fields::Fields,
    limits::{ANSWER_WITHIN_MS_MAX, CLOCK_SKEW_MS, ORDER_LIFE_MS_MAX},
};
use serde_json::{Map, Value, json};

const VERSION: u64 = 2;

/// Bytes of a request that can be as little as one token of its prompt, so that the order covers
/// it; and tokens for what the model's template puts around it.
const BYTES_A_TOKEN: u64 = 3;
const TEMPLATE_TOKENS: u64 = 256;

/// The fields of an order that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// UUID; the receipt's `jobId`. The requester never uses it again.
    pub order_id: String,
    /// Who asks and owes, and signs.
    pub requester: NodeId,
    /// The one worker that it is for.
    pub worker: NodeId,
    /// As asked of the worker.
    pub model: ModelName,
    /// SHA-256 of the exact request body.
    pub body_sha256: [u8; 32],
    /// The longest prompt that the requester agrees to pay for; see [`max_input_tokens`].
    pub max_input_tokens: u64,
    /// The longest answer that it agrees to pay for.
    pub max_output_tokens: u64,
    /// The most that it agrees to be charged.
    pub max_credits: Credits,
    /// When it was made.
    pub created_at: Timestamp,
    /// The last moment at which it may be admitted.
    pub expires_at: Timestamp,
    /// What completes later is nobody's debt.
    pub answer_by: Option<Timestamp>,
    /// Ollama's digest of the model, as it was quoted.
    pub model_digest: Option<[u8; 32]>,
    /// The price that was quoted.
    pub price: Option<Price>,
}

/// Why a worker does not take an order: 403 `order_refused` (SPEC section 7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// It does not verify.
    #[error("the order is not to be believed, sign it anew: {0}")]
    Rejected(#[from] Rejected),
    /// It is for somebody else.
    #[error("the order is for another worker, order of this one")]
    AnotherWorker,
    /// It was made for another request.
    #[error("the order is for another request body, sign one over the body that is sent")]
    AnotherBody,
    /// The request asks for another model than the order.
    #[error("the order names another model than the request, order the one that is asked for")]
    AnotherModel,
    /// Its time to be admitted is over.
    #[error("the order has expired, sign a new one")]
    Expired,
    /// Made more than five minutes ahead of our clock.
    #[error("the order was made more than five minutes ahead of this worker's clock, check both clocks")]
    Future,
    /// Whatever is made now would be nobody's debt.
    #[error("the time to answer the order is over, sign one with a later `answerBy`")]
    TooLate,
}

impl OrderRefused {
    /// What is wrong, for the error's `param`: a field of the order, its signature, or all of it.
    pub const fn param(&self) -> &'static str {
        match self {
            Self::Rejected(Rejected::Malformed(_)) => "order",
            Self::Rejected(Rejected::UnsupportedVersion) => "version",
            Self::Rejected(Rejected::BadSignature) => "signature",
            Self::AnotherWorker => "workerPubkey",
            Self::AnotherBody => "bodySha256",
            Self::AnotherModel => "model",
            Self::Expired => "expiresAt",
            Self::Future => "createdAt",
            Self::TooLate => "answerBy",
        }
    }
}

/// What to order for a request body of so many bytes: `⌈bytes / 3⌉ + 256`.
pub const fn max_input_tokens(body_bytes: u64) -> u64 {
    body_bytes.div_ceil(BYTES_A_TOKEN) + TEMPLATE_TOKENS
}

impl Order {
    /// The longest answer that the worker may make for this order: the least of what was `asked` for,
    /// what was ordered, and what `maxCredits` leaves at `price` after the input. The input counts as
    /// ordered or as `input_bound`, the worker's own bound of it, the smaller. `None` where that is
    /// less than one token: 402.
    pub fn output_bound(&self, asked: Option<u64>, price: Price, input_bound: u64) -> Option<u64> {
        let input_tokens = self.max_input_tokens.min(input_bound);
        let paid_for = price.output_within(self.max_credits, input_tokens)?;
        let bound = paid_for.min(self.max_output_tokens).min(asked.unwrap_or(u64::MAX));
        (bound > 0).then_some(bound)
    }

    /// What `usage` costs at `price` under this order: never more than `maxCredits`.
    pub fn charge(&self, price: Price, usage: Usage) -> Credits {
        price.charge(usage).min(self.max_credits)
    }

    fn check_times(&self) -> Result<(), Rejected> {
        if self.expires_at < self.created_at {
            return Err(Rejected::malformed("`expiresAt` is before `createdAt`"));
        }
        if self.expires_at.millis_since(self.created_at) > ORDER_LIFE_MS_MAX {
            return Err(Rejected::malformed("`expiresAt` is more than 10 minutes after `createdAt`"));
        }
        if self.answer_by.is_some_and(|by| by.millis_since(self.created_at) > ANSWER_WITHIN_MS_MAX) {
            return Err(Rejected::malformed("`answerBy` is more than 7 days after `createdAt`"));
        }
        Ok(())
    }
}

impl Verified<Order> {
    /// Whether worker `me` may admit it at `now` for this request: a body of this hash that asks for
    /// `model`. An order that was admitted once is not checked again, since it expires.
    pub fn check(
        &self,
        now: Timestamp,
        me: &NodeId,
        body_sha256: &[u8; 32],
        model: &ModelName,
    ) -> Result<(), OrderRefused> {
        if self.worker != *me {
            return Err(OrderRefused::AnotherWorker);
        }
        if self.body_sha256 != *body_sha256 {
            return Err(OrderRefused::AnotherBody);
        }
        if !self.model.same_model(model) {
            return Err(OrderRefused::AnotherModel);
        }
        if self.created_at.millis_since(now) > CLOCK_SKEW_MS {
            return Err(OrderRefused::Future);
        }
        if now > self.expires_at {
            return Err(OrderRefused::Expired);
        }
        if self.answer_by.is_some_and(|by| now > by) {
            return Err(OrderRefused::TooLate);
        }
        Ok(())
    }
}

impl Body for Order {
    const NAME: &'static str = "order";
    const DOMAIN: &'static str = "lobstah/order/2\n";

    fn signer(&self) -> NodeId {
        self.requester
    }

    fn from_value(value: &Value) -> Result<Self, Rejected> {
        let fields = Fields(value);
        if fields.integer("version")? != VERSION {
            return Err(Rejected::UnsupportedVersion);
        }
        let order = Self {
            order_id: fields.uuid("orderId")?,
            requester: fields.parsed("requesterPubkey")?,
            worker: fields.parsed("workerPubkey")?,
            model: fields.parsed("model")?,
            body_sha256: fields.bytes("bodySha256")?,
            max_input_tokens: fields.integer("maxInputTokens")?,
            max_output_tokens: fields.integer("maxOutputTokens")?,
            max_credits: fields.credits("maxCredits")?,
            created_at: fields.time("createdAt")?,
            expires_at: fields.time("expiresAt")?,
            answer_by: fields.maybe("answerBy", Fields::time)?,
            model_digest: fields.maybe("modelDigest", Fields::bytes)?,
            price: value.get("price").map(quoted).transpose()?,
        };
        order.check_times()?;
        Ok(order)
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("version".into(), json!(VERSION));
        object.insert("orderId".into(), json!(self.order_id));
        object.insert("requesterPubkey".into(), json!(self.requester));
        object.insert("workerPubkey".into(), json!(self.worker));
        object.insert("model".into(), json!(self.model));
        object.insert("bodySha256".into(), json!(hex::encode(self.body_sha256)));
        object.insert("maxInputTokens".into(), json!(self.max_input_tokens));
        object.insert("maxOutputTokens".into(), json!(self.max_output_tokens));
        object.insert("maxCredits".into(), json!(self.max_credits));
        object.insert("createdAt".into(), json!(self.created_at));
        object.insert("expiresAt".into(), json!(self.expires_at));
        if let Some(by) = self.answer_by {
            object.insert("answerBy".into(), json!(by));
        }
        if let Some(digest) = &self.model_digest {
            object.insert("modelDigest".into(), json!(hex::encode(digest)));
        }
        if let Some(price) = self.price {
            object.insert("price".into(), json!(price));
        }
        Value::Object(object)
    }
}

/// Unlike a price that is announced, one that is ordered at binds: a malformed one is refused.
fn quoted(price: &Value) -> Result<Price, Rejected> {
    Price::from_wire(price)
        .ok_or_else(|| Rejected::malformed("`price` is not `{\"input\",\"output\"}` in whole credits"))
}
