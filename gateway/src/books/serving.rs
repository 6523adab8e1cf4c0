//! The worker's side: what was made, signed and kept.

use crate::{
    clock,
    credit::Admitted,
    fail_point::{self, FailPoint},
    meter::Meter,
    node::Node,
    tally::Tally,
};
use ledger::{ClaimError, PostError, Reservation};
use parking_lot::Mutex;
use protocol::{
    Answer, Credits, ModelName, Order, Price, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Bytes of a prompt that are one token where the engine did not say.
const BYTES_A_TOKEN: u64 = 4;

/// The worker's side of one exchange.
pub struct Serving<'a> {
    node: &'a Node,
    requester: Requester,
    order: Option<Box<(Verified<Order>, [u8; 32])>>,
    price: Price,
    output_max: u64,
    /// Taken when the receipt is kept; given back by dropping it: if the engine breaks nobody pays.
    reservation: Mutex<Option<Reservation>>,
    /// As asked for.
    model: ModelName,
    digest: Option<[u8; 32]>,
    prompt_bytes: u64,
    /// Tokens of context that the engine ran with; 0 if that is not known.
    context: AtomicU64,
    started_at: Timestamp,
    /// The requester asked for the usage of its stream itself.
    pub usage_was_asked: bool,
}

/// A receipt that is signed and not kept yet.
#[derive(Debug)]
pub struct Claim {
    pub receipt: Verified<Receipt>,
    reservation: Reservation,
    cut: bool,
}

/// What was made for a requester.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub usage: Usage,
    /// The engine did not say: the counts are ours.
    pub estimated: bool,
    /// The requester left before the end.
    pub cut: bool,
}

impl<'a> Serving<'a> {
    pub fn new(
        node: &'a Node,
        admitted: Admitted,
        model: ModelName,
        digest: Option<[u8; 32]>,
        prompt_bytes: u64,
        usage_was_asked: bool,
    ) -> Self {
        Self {
            node,
            requester: admitted.requester,
            order: admitted.order,
            price: admitted.price,
            output_max: admitted.output_max,
            reservation: Mutex::new(Some(admitted.reservation)),
            model,
            digest,
            prompt_bytes,
            context: AtomicU64::new(0),
            started_at: clock::now(),
            usage_was_asked,
        }
    }

    /// The most pieces of text that are paid for; an engine that streams past it is cut.
    pub fn output_max(&self) -> Option<u64> {
        (self.output_max > 0).then_some(self.output_max)
    }

    /// The engine runs with so many tokens of context.
    pub fn ran_with(&self, context: Option<u64>) {
        self.context.store(context.unwrap_or(0), Ordering::Relaxed);
    }

    /// What a stream made so far: as the engine says, else by the pieces of text.
    pub fn made(&self, meter: &Meter) -> Made {
        match meter.usage {
            Some(usage) => Made { usage, estimated: false, cut: false },
            None => Made { usage: self.estimate(meter.deltas), estimated: true, cut: false },
        }
    }

    /// The requester of a whole answer left: what the engine made in that time.
    pub async fn left_waiting(&self) {
        if let Some(claim) = self.cut_unseen() {
            self.keep(claim).await;
        }
    }

    /// A receipt for a whole answer that was cut; `None` if nothing is known to have been made.
    pub fn cut_unseen(&self) -> Option<Claim> {
        let took = Duration::from_millis(clock::now().millis_since(self.started_at)).as_secs_f64();
        let rate = self.node.engine.speeds.of(&self.model).unwrap_or(0.0);
        let usage = self.estimate((took * rate) as u64);
        let some = usage.output_tokens > 0;
        some.then(|| self.sign(Made { usage, estimated: true, cut: true }, &Tally::default())).flatten()
    }

    /// What was reserved, of an exchange that is to be served another time.
    pub fn give_back(self) -> Option<Reservation> {
        self.reservation.into_inner()
    }

    fn estimate(&self, output_tokens: u64) -> Usage {
        Usage { input_tokens: self.prompt_bytes.div_ceil(BYTES_A_TOKEN), output_tokens }
    }

    /// Signs, and waits until the receipt is durable. Without a place in the ledger there is no
    /// receipt: a worker never shows what it could forget.
    pub(super) async fn sign_and_keep(&self, made: Made, sent: &Tally) -> Option<Verified<Receipt>> {
        self.keep(self.sign(made, sent)?).await
    }

    /// Signs, once. The receipt is to be kept before anybody sees it: [`Serving::keep`].
    pub fn sign(&self, made: Made, sent: &Tally) -> Option<Claim> {
        let reservation = self.reservation.lock().take()?;
        let completed_at = clock::now();
        let took = Duration::from_millis(completed_at.millis_since(self.started_at));
        if !made.estimated {
            self.node.engine.speeds.measured(&self.model, made.usage.output_tokens, took);
        }
        let receipt = self.receipt(made, sent, completed_at, reservation.credits());
        let receipt =
            receipt.inspect_err(|error| tracing::error!(%error, "a receipt could not be signed")).ok()?;
        fail_point::reached(FailPoint::ReceiptSigned);
        Some(Claim { receipt, reservation, cut: made.cut })
    }

    /// Waits until the receipt is durable; `None` if it cannot be kept: then nobody pays.
    pub async fn keep(&self, claim: Claim) -> Option<Verified<Receipt>> {
        let Claim { receipt, reservation, cut } = claim;
        let credits = self.price.charge(receipt.usage);
        let claimed_at = receipt.completed_at;
        match self.node.ledger.claim_priced(reservation, receipt.clone(), credits, claimed_at).await {
            Ok(_) => {
                fail_point::reached(FailPoint::ReceiptClaimed);
                self.node.metrics.receipt(if cut { "signed_cut" } else { "signed" });
                self.node.metrics.earned(receipt.usage);
                Some(receipt)
            }
            Err(error) => {
                self.node.metrics.receipt("not_kept");
                if matches!(error, ClaimError::Post(PostError::Unwritten(_))) {
                    self.node.cannot_write(&error.to_string());
                } else {
                    tracing::error!(%error, "a receipt is not kept");
                }
                None
            }
        }
    }

    fn receipt(
        &self,
        made: Made,
        sent: &Tally,
        completed_at: Timestamp,
        reserved: Credits,
    ) -> anyhow::Result<Verified<Receipt>> {
        let mut usage = made.usage;
        if let Some((order, _)) = self.order.as_deref() {
            // What was not ordered is not claimed, whatever the engine counted.
            usage.input_tokens = usage.input_tokens.min(order.max_input_tokens);
            usage.output_tokens = usage.output_tokens.min(order.max_output_tokens);
        }
        let answers = self.order.as_deref().map(|(_, order_sha256)| Answer {
            order_sha256: *order_sha256,
            response_sha256: sent.sha256(),
            response_bytes: Some(sent.bytes()),
            credits: self.price.charge(usage).min(reserved),
            model_digest: self.digest,
            cut: made.cut,
            estimated: made.estimated,
            context: Some(self.context.load(Ordering::Relaxed)).filter(|tokens| *tokens > 0),
        });
        let job_id = match self.order.as_deref() {
            Some((order, _)) => order.order_id.clone(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        let body = Receipt {
            job_id,
            nonce: nonce(completed_at)?,
            requester: self.requester,
            worker: self.node.me,
            model: self.model.clone(),
            usage,
            started_at: self.started_at,
            completed_at,
            answers,
        };
        Ok(Verified::sign(body, &self.node.identity.node)?)
    }
}

/// 80 random bits behind 48 of time, as in a UUID of version 7: the ledgers on both sides index
/// nonces, and an index that grows at its end costs half of one that is written all over.
fn nonce(now: Timestamp) -> Result<Nonce, getrandom::Error> {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
    getrandom::fill(&mut bytes[6..])?;
    Ok(Nonce(bytes))
}
