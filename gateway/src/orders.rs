//! Orders of the gateway: the most that it agrees to for one request at one worker, signed and
//! remembered before the request is sent (SPEC section 4).

use crate::{
    clock,
    fail_point::{self, FailPoint},
    node::Node,
    upstream::Upstream,
    witness::{Saw, Watching},
};
use bytes::Bytes;
use http::HeaderValue;
use protocol::{
    Credits, ModelName, NodeId, Order, Price, Timestamp, Usage, Verified, canonical::sha256, carriers, order,
};
use std::time::Duration;

/// An order is to be admitted within this; a worker's queue comes after that.
const ADMITTED_WITHIN: Duration = Duration::from_secs(5 * 60);

/// After "402, so much is available" an order is worth placing again if it leaves this many tokens.
pub const SHRUNK_MIN: u64 = 256;

/// An order that is kept in the ledger.
#[derive(Clone, Debug)]
pub struct Placed {
    order: Verified<Order>,
    /// The exchange that it was placed for; `None` for one of before.
    watching: Option<Watching>,
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// As asked of the worker.
    pub model: &'a ModelName,
    /// The exact body that is sent.
    pub body: &'a Bytes,
    /// The longest answer that is agreed to.
    pub output_max: u64,
    /// What completes later is nobody's debt: the end of a job's lease.
    pub answer_by: Option<Timestamp>,
}

impl Placed {
    /// An order that was placed before, as the ledger has it.
    pub fn again(order: Verified<Order>) -> Self {
        Self { order, watching: None }
    }

    /// The same where its answer is waited for again.
    pub fn watched(node: &Node, order: Verified<Order>) -> Self {
        let watching = Some(node.witness.watch(&order.order_id));
        Self { order, watching }
    }

    pub fn order(&self) -> &Verified<Order> {
        &self.order
    }

    /// What came of the answer, for a receipt that comes later.
    pub fn saw(&self, saw: Saw) {
        if let Some(watching) = &self.watching {
            watching.saw(saw);
        }
    }

    /// As it travels.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(carriers::to_header(self.order.signed())).ok()
    }

    /// No receipt will come for it.
    pub async fn forget(&self, node: &Node) {
        self.saw(Saw::Nothing);
        let lost = node.ledger.lost(self.order.worker, &self.order.order_id, clock::now()).await;
        if let Err(error) = lost {
            tracing::debug!(%error, "an order is still waited for");
        }
    }
}

/// Whether an upstream is ordered from: every peer but those of version 1.
pub fn wanted(node: &Node, upstream: &Upstream) -> Option<NodeId> {
    let worker = upstream.node()?;
    let inventory = upstream.inventory();
    let version1 = inventory.known && inventory.protocol < 2;
    let listed = node.config().peers.iter().any(|peer| peer.pubkey == worker && peer.version1);
    (!version1 && !listed).then_some(worker)
}

/// Whether a price is one that the owner agrees to. What is agreed to can be spent here in turn, so a
/// worker must not name it alone.
pub fn affordable(price: Price, max_price: u64) -> bool {
    price.input.max(price.output) <= max_price
}

/// Signs an order and keeps it. Fails only where the ledger cannot be written: then nothing is sent,
/// since what it costs could not be accounted for.
pub async fn place(
    node: &Node,
    upstream: &Upstream,
    worker: NodeId,
    terms: &Terms<'_>,
) -> Result<Placed, String> {
    let order = draw_up(node, upstream, worker, terms, clock::now())?;
    keep(node, order).await
}

/// Signs an order that nobody knows yet; [`keep`] it before it is sent.
pub fn draw_up(
    node: &Node,
    upstream: &Upstream,
    worker: NodeId,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Verified<Order>, String> {
    let inventory = upstream.inventory();
    let price = inventory.price(terms.model);
    let max_input_tokens = order::max_input_tokens(terms.body.len() as u64);
    let usage = Usage { input_tokens: max_input_tokens, output_tokens: terms.output_max };
    let order = Order {
        order_id: order_id(now).map_err(|error| error.to_string())?,
        requester: node.me,
        worker,
        model: terms.model.clone(),
        body_sha256: sha256(terms.body),
        max_input_tokens,
        max_output_tokens: terms.output_max,
        max_credits: price.charge(usage),
        created_at: now,
        expires_at: Timestamp::from_millis(now.as_millis() + ADMITTED_WITHIN.as_millis() as u64),
        answer_by: terms.answer_by,
        model_digest: inventory.model(terms.model).and_then(|model| model.digest),
        price: Some(price),
    };
    Verified::sign(order, &node.identity.node).map_err(|error| error.to_string())
}

/// Keeps an order in the ledger.
pub async fn keep(node: &Node, order: Verified<Order>) -> Result<Placed, String> {
    node.ledger.place(&order, clock::now()).await.map_err(|error| error.to_string())?;
    fail_point::reached(FailPoint::OrderPlaced);
    Ok(Placed::watched(node, order))
}

/// A UUID of version 7 (RFC 9562): both ledgers index orders by their ids, and an index that grows at its
/// end costs less than one that is written all over.
fn order_id(now: Timestamp) -> Result<String, getrandom::Error> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    let id = uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &random).into_uuid();
    Ok(id.to_string())
}

/// The longest answer that `available` credits pay for, if it is worth an order.
pub fn shrunk(upstream: &Upstream, terms: &Terms<'_>, available: u64) -> Option<u64> {
    let price = upstream.inventory().price(terms.model);
    let input = order::max_input_tokens(terms.body.len() as u64);
    let output = price.output_within(Credits::saturating(available), input)?;
    (output >= SHRUNK_MIN && output < terms.output_max).then_some(output)
}
