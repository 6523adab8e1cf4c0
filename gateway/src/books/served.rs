//! The gateway's side: a worker's receipt checked against what was ordered and what came.

use crate::{
    clock,
    fail_point::{self, FailPoint},
    node::Node,
    orders::Placed,
    witness::Saw,
};
use ledger::{Origin, Posted};
use protocol::{
    Ack, NodeId, Receipt, Rejected, Requester, Timestamp, Usage, Verified,
    carriers::{self},
    judge::{self, Judgement, Received, Seen},
    order::max_input_tokens,
};

/// The gateway's side of one exchange.
pub struct Served<'a> {
    pub node: &'a Node,
    pub worker: NodeId,
    /// The order that was sent along; `None` to a worker of version 1. Boxed: it is kept as long as an answer
    /// streams.
    pub order: Option<Box<Placed>>,
    /// The longest answer that was asked for.
    pub output_max: u64,
    /// How many bytes were sent: with those that came back, the most tokens that are believed of a
    /// receipt that answers no order.
    pub bytes: u64,
}

/// Why a receipt is not kept. The answer reaches the tool all the same.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error("signed by another worker than the one that was asked")]
    WrongWorker,
    #[error("made out to another requester")]
    WrongRequester,
    #[error("more than five minutes old, or from the future")]
    Stale,
    #[error("seen before")]
    Replayed,
    #[error("it {0}")]
    NotTheOrders(judge::Refusal),
    #[error("not kept: {0}")]
    Ledger(#[from] ledger::PostError),
    #[error("not kept: {0}")]
    Order(#[from] ledger::ReceiveError),
}

impl Refused {
    /// The label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Refused::Rejected(Rejected::Malformed(_)) => "malformed",
            Refused::Rejected(Rejected::UnsupportedVersion) => "unsupported_version",
            Refused::Rejected(Rejected::BadSignature) => "bad_signature",
            Refused::WrongWorker => "wrong_worker",
            Refused::WrongRequester => "wrong_requester",
            Refused::Stale => "stale",
            Refused::Replayed => "replayed",
            Refused::NotTheOrders(_) => "wrong_order",
            Refused::Ledger(ledger::PostError::NonceReused { .. }) => "replayed",
            Refused::Ledger(_) | Refused::Order(_) => "not_kept",
        }
    }
}

impl Served<'_> {
    /// No receipt came. If one was made it is collected later, and compared with what was seen.
    pub(super) fn missing(&self, saw: Option<Saw>) {
        self.node.metrics.receipt("missing");
        if let (Some(placed), Some(saw)) = (&self.order, saw) {
            placed.saw(saw);
        }
    }

    /// Whether the receipt was kept; if not, why is counted and logged. `seen` is what came before it.
    pub(super) async fn check_and_keep(&self, carried: &[u8], seen: Option<Seen>, answer_bytes: u64) -> bool {
        if let (Some(placed), Some(seen)) = (&self.order, seen) {
            placed.saw(Saw::Whole(seen));
        }
        let received = seen.map_or(Received::Unknown, Received::Whole);
        match self.keep(carried, &received, self.bytes + answer_bytes).await {
            Ok(usage) => {
                self.node.metrics.spent(usage);
                self.node.strangers.prove(&self.worker);
                true
            }
            Err(refused) => {
                self.node.metrics.receipt(refused.label());
                tracing::warn!(worker = %self.worker.short(), reason = %refused, "a receipt was refused");
                false
            }
        }
    }

    async fn keep(&self, carried: &[u8], received: &Received, bytes_moved: u64) -> Result<Usage, Refused> {
        let now = clock::now();
        let receipt = check(carried, self.worker, self.node.me)?;
        let usage = receipt.usage;
        if let (Some(placed), true) = (&self.order, receipt.answers.is_some()) {
            keep_ordered(self.node, receipt, placed, received, now).await?;
            return Ok(usage);
        }
        if let Some(placed) = &self.order {
            // A worker of version 1 knows of no orders, and keeps no receipts for them.
            placed.forget(self.node).await;
        }
        if !receipt.is_fresh(now) {
            return Err(Refused::Stale);
        }
        // It names no order: more tokens than bytes went over the wire cannot be true, and more than we
        // agreed to is nobody's debt, whether the worker says that it knew or not.
        let believed = bytes_moved.min(self.agreed());
        match self.node.ledger.post_at_most(receipt, believed, Origin::Received, now).await? {
            Posted::New { .. } => {
                self.node.metrics.receipt("accepted");
                Ok(usage)
            }
            Posted::Already { .. } => Err(Refused::Replayed),
        }
    }
}

impl Served<'_> {
    /// The most that we agreed to: by the order, or to a worker that takes none by what would have been
    /// ordered.
    fn agreed(&self) -> u64 {
        let tokens = max_input_tokens(self.bytes).saturating_add(self.output_max);
        self.order.as_ref().map_or(tokens, |placed| placed.order().max_credits.get())
    }
}

/// Judges a receipt by its order and keeps it with our word on it, which a background task brings to
/// the worker.
pub async fn keep_ordered(
    node: &Node,
    receipt: Verified<Receipt>,
    placed: &Placed,
    received: &Received,
    now: Timestamp,
) -> Result<(), Refused> {
    let judgement = judge::judge(&receipt, placed.order().signed(), received);
    keep_judged(node, receipt, placed, judgement, now).await
}

/// The same where the receipt was judged before.
pub async fn keep_judged(
    node: &Node,
    receipt: Verified<Receipt>,
    placed: &Placed,
    judgement: Judgement,
    now: Timestamp,
) -> Result<(), Refused> {
    let order = placed.order();
    let verdict = match judgement {
        Judgement::Refuse(refusal) => return Err(Refused::NotTheOrders(refusal)),
        judgement => {
            if let Judgement::Dispute(dispute) = judgement {
                tracing::warn!(worker = %order.worker.short(), %dispute, "a receipt is disputed");
            }
            let label = if judgement == Judgement::Ok { "accepted" } else { "disputed" };
            node.metrics.receipt(label);
            judgement.verdict()
        }
    };
    let Some(verdict) = verdict else { return Err(Refused::NotTheOrders(judge::Refusal::NoOrder)) };
    let ack = Ack {
        order_sha256: order.signed().sha256(),
        receipt_sha256: receipt.signed().sha256(),
        verdict,
        at: now,
    };
    let ack = ack.sign(&node.identity.node)?;
    fail_point::reached(FailPoint::ReceiptReceived);
    node.ledger.post_received(receipt, ack, now).await?;
    placed.saw(Saw::Settled);
    fail_point::reached(FailPoint::ReceiptKept);
    node.settle_now.notify_one();
    Ok(())
}

/// The rules of SPEC section 3 that no order changes: whose it is, for whom, and a good signature.
fn check(carried: &[u8], worker: NodeId, me: NodeId) -> Result<Verified<Receipt>, Refused> {
    let signed = carriers::from_base64::<Receipt>(carried)?;
    // Before the signature, which costs more: a stranger's receipt is not worth checking.
    if signed.unverified().worker != worker {
        return Err(Refused::WrongWorker);
    }
    let receipt = signed.verify()?;
    if receipt.requester != Requester::Node(me) {
        return Err(Refused::WrongRequester);
    }
    Ok(receipt)
}
