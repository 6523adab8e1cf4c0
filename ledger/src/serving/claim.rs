//! A receipt of ours turns its reservation into a claim, in the transaction that keeps it.

use crate::{
    append::Append,
    credit::undrawn,
    entry::Posted,
    exchange::{self, Exchange, Phase, Side, order_id},
    journal::{Kind, Step},
    post::{Item, PostError, charge},
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Credits, Receipt};

/// Why a receipt of ours was not kept. Its reservation is released: nobody pays.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClaimError {
    /// It has ended: released, or answered by another receipt.
    #[error("the reservation has ended before its receipt came")]
    Ended,
    /// The receipt says something else than what was admitted. Our own mistake.
    #[error("the receipt does not answer what was admitted: {what} differs")]
    Mismatch {
        /// Of the receipt.
        what: &'static str,
    },
    /// It charges more than was reserved. Our own mistake.
    #[error("the receipt charges {credits} credits and {reserved} were reserved")]
    OverReserved {
        /// As charged.
        credits: Credits,
        /// As reserved.
        reserved: Credits,
    },
    /// The receipt could not be posted.
    #[error(transparent)]
    Post(#[from] PostError),
}

impl From<Unwritten> for ClaimError {
    fn from(error: Unwritten) -> Self {
        Self::Post(error.into())
    }
}

pub(crate) struct Claim {
    /// The reservation's.
    pub(crate) seq: u64,
    pub(crate) item: Item,
}

impl Work for Claim {
    type Done = Posted;
    type Refused = ClaimError;
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Posted, ClaimError>> {
        let open = exchange::get(books.conn(), self.seq)?;
        let Some(open) = open.filter(|open| open.side == Side::Served && open.phase == Phase::Open) else {
            return Ok(Err(ClaimError::Ended));
        };
        let receipt: &Receipt = &self.item.receipt;
        if let Err(error) = check(receipt, &open, books) {
            return Ok(Err(error));
        }
        let posted = match books.post(&self.item)? {
            Ok(posted) => posted,
            Err(error) => return Ok(Err(error.into())),
        };
        let Exchange { seq, who, reserved, day, .. } = open;
        let ordered = open.order_id.is_some();
        let kind = if ordered { Kind::Claimed } else { Kind::ClaimedUnordered };
        // Whom no order binds may have cost more than was foreseen: it is not charged for that.
        let credits = self.item.credits.min(reserved);
        let pool = undrawn(reserved, open.pool, credits);
        let (about, entry) = (seq, posted.seq());
        let step = Step::new(kind, self.item.posted_at, who);
        let changed = books.record(&Step { about, entry, reserved, credits, pool, day, ..step })?;
        exchange::answer(books.conn(), seq, Phase::Claimed, credits, entry, 0, changed)?;
        Ok(Ok(posted))
    }
}

fn check(receipt: &Receipt, open: &Exchange, books: &Append<'_>) -> Result<(), ClaimError> {
    let mismatch = |what| Err(ClaimError::Mismatch { what });
    if receipt.worker != books.me() {
        return mismatch("workerPubkey");
    }
    if receipt.requester.node() != open.who.node() {
        return mismatch("requesterPubkey");
    }
    if receipt.answers.as_ref().map(|answer| answer.order_sha256) != open.order_sha256 {
        return mismatch("orderSha256");
    }
    if open.order_id.is_some() && open.order_id != order_id(&receipt.job_id) {
        return mismatch("jobId");
    }
    let (credits, reserved) = (charge(receipt), open.reserved);
    if open.order_id.is_some() && credits > reserved {
        let [credits, reserved] = [credits, reserved].map(Credits::saturating);
        return Err(ClaimError::OverReserved { credits, reserved });
    }
    Ok(())
}
