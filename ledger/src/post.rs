//! Keeping one receipt: what is refused, and what it counts for.

use crate::{
    append::Append,
    entry::{Origin, Posted},
    journal::{Kind, Step},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{
    NodeId, Receipt, Requester, Timestamp, Verified, limits::STATEMENT_BYTES_MAX, receipt::Nonce,
};

/// Why a receipt was not kept. Nothing of it is in the ledger.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostError {
    /// The worker has signed another receipt with this nonce, and that one is kept.
    #[error("worker {} used the nonce {nonce:?} before, for the receipt at entry {seq}: refused", worker.short())]
    NonceReused {
        /// Who signed both.
        worker: NodeId,
        /// What both carry.
        nonce: Nonce,
        /// Where the other one is.
        seq: u64,
    },
    /// It could not be read back: a longer statement is refused by everyone.
    #[error("the receipt is {bytes} bytes long and at most {STATEMENT_BYTES_MAX} are kept")]
    TooLong {
        /// Its length as canonical JSON.
        bytes: usize,
    },
    /// It names an order, so it has to be kept together with what it does to that order.
    #[error("the receipt answers an order: post it as the answer to that order")]
    AnswersAnOrder,
    /// The ledger could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// What a receipt charges: what it says, or in version 1 a credit for each token.
pub(crate) fn charge(receipt: &Receipt) -> u64 {
    receipt.answers.as_ref().map_or_else(|| receipt.usage.total(), |answer| answer.credits.get())
}

/// A receipt on its way into the ledger. Made by the poster, so that the writer's thread is spared.
pub(crate) struct Item {
    pub(crate) receipt: Verified<Receipt>,
    pub(crate) json: String,
    pub(crate) origin: Origin,
    pub(crate) posted_at: Timestamp,
    pub(crate) credits: u64,
}

impl Item {
    /// It counts for what it charges, and for no more than `credits_max`.
    pub(crate) fn new(
        receipt: Verified<Receipt>,
        credits_max: u64,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, PostError> {
        let json = receipt.to_json();
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(PostError::TooLong { bytes: json.len() });
        }
        let credits = charge(&receipt).min(credits_max);
        Ok(Self { receipt, json, origin, posted_at: now, credits })
    }

    /// The same of our own: at `price` where it answers no order, for then it names no sum itself.
    pub(crate) fn served(receipt: Verified<Receipt>, price: u64, now: Timestamp) -> Result<Self, PostError> {
        let credits = if receipt.answers.is_some() { charge(&receipt) } else { price };
        let item = Self::new(receipt, u64::MAX, Origin::Served, now)?;
        Ok(Self { credits, ..item })
    }

    /// The same of one that answers no order, or only tells of others.
    pub(crate) fn unordered(
        receipt: Verified<Receipt>,
        credits_max: u64,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, PostError> {
        if receipt.answers.is_some() && origin != Origin::Imported {
            return Err(PostError::AnswersAnOrder);
        }
        Self::new(receipt, credits_max, origin, now)
    }
}

impl Work for Item {
    type Done = Posted;
    type Refused = PostError;
    const DURABLE: bool = true;

    /// What a worker gave our gateway without an order is a debt (SPEC section 3).
    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Posted, PostError>> {
        let posted = books.post(self)?;
        let ours = self.receipt.requester == Requester::Node(books.me());
        if let (Ok(Posted::New { seq }), Origin::Received, true) = (&posted, self.origin, ours) {
            let worker = Party::Node(self.receipt.worker);
            let owed = Step::new(Kind::Owed, self.posted_at, worker);
            books.record(&Step { entry: *seq, credits: self.credits, ..owed })?;
        }
        Ok(posted)
    }
}
