//! The receipt of an order of ours, our word on it, and the word's place in the outbox: one transaction.

use super::outbox;
use crate::{
    append::Append,
    entry::Posted,
    exchange::{self, Exchange, Phase, Side, order_id},
    journal::{Kind, Step},
    party::Party,
    post::{Item, PostError},
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Ack, Requester, Verified, ack::Verdict};
use rusqlite::Connection;

/// Why a receipt for an order of ours is not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It names no order that we gave its signer.
    #[error("the receipt answers no order of ours")]
    UnknownOrder,
    /// It is made out to another.
    #[error("the receipt is another requester's")]
    AnotherParty,
    /// Another receipt answered it before.
    #[error("the order was answered before, by the receipt at entry {seq}")]
    AnsweredBefore {
        /// Where that is.
        seq: u64,
    },
    /// The acknowledgement is not of this receipt. Our own mistake.
    #[error("the acknowledgement is of another receipt")]
    AnotherAck,
    /// The receipt could not be posted.
    #[error(transparent)]
    Post(#[from] PostError),
}

impl From<Unwritten> for ReceiveError {
    fn from(error: Unwritten) -> Self {
        Self::Post(error.into())
    }
}

pub(crate) struct Receive {
    pub(crate) item: Item,
    pub(crate) sha256: [u8; 32],
    pub(crate) order_sha256: [u8; 32],
    pub(crate) ack: Verified<Ack>,
    pub(crate) ack_json: String,
}

impl Work for Receive {
    type Done = Posted;
    type Refused = ReceiveError;
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Posted, ReceiveError>> {
        let Some(exchange) = self.find(books.conn())? else {
            return Ok(Err(ReceiveError::UnknownOrder));
        };
        if let Err(error) = self.check(books) {
            return Ok(Err(error));
        }
        if exchange.entry > 0 {
            return self.again(books, &exchange);
        }
        let posted = match books.post(&self.item)? {
            Ok(posted) => posted,
            Err(error) => return Ok(Err(error.into())),
        };
        if exchange.phase == Phase::Gone {
            // It was given up too early: the debt is there all the same (SPEC section 4).
            self.step(books, &exchange, Kind::Found, posted.seq(), "")?;
        }
        let (kind, phase) = match self.ack.verdict {
            Verdict::Ok => (Kind::ReceivedOk, Phase::Settled),
            Verdict::Dispute(_) => (Kind::ReceivedDisputed, Phase::Disputed),
        };
        let row = self.step(books, &exchange, kind, posted.seq(), &self.ack_json)?;
        let charged = self.charged();
        exchange::answer(books.conn(), exchange.seq, phase, charged, posted.seq(), row, row)?;
        outbox::put(books.conn(), row, exchange.who, self.item.posted_at)?;
        Ok(Ok(posted))
    }
}

impl Receive {
    /// What the receipt charges, disputed or not.
    fn charged(&self) -> u64 {
        crate::post::charge(&self.item.receipt)
    }

    /// The exchange of the order that it answers, if that was given to who signed it.
    fn find(&self, conn: &Connection) -> rusqlite::Result<Option<Exchange>> {
        let receipt = &self.item.receipt;
        let by_job = match order_id(&receipt.job_id) {
            Some(id) => exchange::of_order(conn, Side::Asked, receipt.worker, &id)?,
            None => None,
        };
        match by_job.filter(|exchange| exchange.order_sha256 == Some(self.order_sha256)) {
            None => {
                let awaited = exchange::awaited(conn, &self.order_sha256)?;
                Ok(awaited.filter(|exchange| exchange.who == Party::Node(receipt.worker)))
            }
            found => Ok(found),
        }
    }

    fn check(&self, books: &Append<'_>) -> Result<(), ReceiveError> {
        if self.item.receipt.requester != Requester::Node(books.me()) {
            return Err(ReceiveError::AnotherParty);
        }
        if self.ack.order_sha256 != self.order_sha256 || self.ack.receipt_sha256 != self.sha256 {
            return Err(ReceiveError::AnotherAck);
        }
        Ok(())
    }

    /// Collected twice it is the same receipt, and our first word on it stands.
    fn again(
        &self,
        books: &Append<'_>,
        exchange: &Exchange,
    ) -> rusqlite::Result<Result<Posted, ReceiveError>> {
        let seq = exchange.entry;
        let kept = crate::serving::acks::receipt_sha256(books.conn(), seq)?;
        Ok(if kept == self.sha256 {
            Ok(Posted::Already { seq })
        } else {
            Err(ReceiveError::AnsweredBefore { seq })
        })
    }

    fn step(
        &self,
        books: &mut Append<'_>,
        exchange: &Exchange,
        kind: Kind,
        entry: u64,
        signed: &str,
    ) -> rusqlite::Result<u64> {
        let Exchange { seq, who, reserved, .. } = *exchange;
        let credits = if kind == Kind::Found { 0 } else { self.charged() };
        let step = Step::new(kind, self.item.posted_at, who);
        books.record(&Step { about: seq, entry, reserved, credits, signed, ..step })
    }
}
