//! What requesters say of our receipts.

use crate::{
    append::Append,
    column::integer,
    exchange::{self, Exchange, Phase, Side},
    journal::{Kind, Step},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Ack, NodeId, Rejected, Timestamp, Verified, ack, ack::Verdict, canonical::sha256};
use rusqlite::Connection;

/// Why an acknowledgement does not count.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AckError {
    /// It does not verify with the key of who ordered.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// No order of this hash was taken here.
    #[error("names an order that this worker never took")]
    UnknownOrder,
    /// The order runs still, or ended without a receipt.
    #[error("no receipt answers this order")]
    NoReceipt,
    /// Another receipt answers the order.
    #[error("names another receipt than the one of this order")]
    AnotherReceipt,
    /// It was settled, and that is for good.
    #[error("the receipt was acknowledged before: a dispute after an ok is refused")]
    DisputeAfterOk,
    /// The ledger could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

impl AckError {
    /// Whether the same acknowledgement may count later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, AckError::Unwritten(_))
    }
}

impl From<ack::AckRefused> for AckError {
    fn from(refused: ack::AckRefused) -> Self {
        match refused {
            ack::AckRefused::Rejected(rejected) => Self::Rejected(rejected),
            ack::AckRefused::AnotherOrder => Self::UnknownOrder,
            ack::AckRefused::AnotherReceipt => Self::AnotherReceipt,
        }
    }
}

/// The claim that an acknowledgement of the order with this hash would be about.
pub(crate) fn claim_of(
    conn: &Connection,
    order_sha256: [u8; 32],
) -> rusqlite::Result<Result<ack::Claim, AckError>> {
    let Some(exchange) = exchange::of_sha256(conn, Side::Served, &order_sha256)? else {
        return Ok(Err(AckError::UnknownOrder));
    };
    let (Party::Node(requester), true) = (exchange.who, exchange.entry > 0) else {
        return Ok(Err(AckError::NoReceipt));
    };
    let receipt_sha256 = receipt_sha256(conn, exchange.entry)?;
    Ok(Ok(ack::Claim { requester, order_sha256, receipt_sha256 }))
}

/// How acknowledgements name the receipt at an entry.
pub(crate) fn receipt_sha256(conn: &Connection, entry: u64) -> rusqlite::Result<[u8; 32]> {
    let mut signed = conn.prepare_cached("SELECT signed FROM entry WHERE seq = ?1")?;
    signed.query_row([integer(entry)], |row| Ok(sha256(row.get_ref(0)?.as_bytes()?)))
}

/// One whose signature was checked against its claim.
pub(crate) struct TakeAck {
    pub(crate) ack: Verified<Ack>,
    pub(crate) now: Timestamp,
}

impl Work for TakeAck {
    type Done = ();
    type Refused = AckError;
    // Who is told that it counts does not send it again.
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), AckError>> {
        let Some(exchange) = exchange::of_sha256(books.conn(), Side::Served, &self.ack.order_sha256)? else {
            return Ok(Err(AckError::UnknownOrder));
        };
        take(books, &exchange, &self.ack, self.now)
    }
}

/// An ok settles, also what was disputed before: the requester may change its mind that way. What is
/// settled stays settled. The same verdict again changes nothing.
pub(crate) fn take(
    books: &mut Append<'_>,
    exchange: &Exchange,
    ack: &Verified<Ack>,
    now: Timestamp,
) -> rusqlite::Result<Result<(), AckError>> {
    let kind = match (exchange.phase, &ack.verdict) {
        (Phase::Open | Phase::Gone, _) => return Ok(Err(AckError::NoReceipt)),
        (Phase::Claimed, Verdict::Ok) => Kind::Acknowledged,
        (Phase::Claimed, Verdict::Dispute(_)) => Kind::Disputed,
        (Phase::Disputed, Verdict::Ok) => Kind::Agreed,
        (Phase::Settled, Verdict::Dispute(_)) => return Ok(Err(AckError::DisputeAfterOk)),
        // What was forgiven needs no word any more.
        (Phase::Settled, Verdict::Ok) | (Phase::Disputed, Verdict::Dispute(_)) | (Phase::Forgiven, _) => {
            return Ok(Ok(()));
        }
    };
    let Exchange { seq, who, entry, credits, .. } = *exchange;
    let signed = ack.to_json();
    let step = Step { about: seq, entry, credits, signed: &signed, ..Step::new(kind, now, who) };
    let row = books.record(&step)?;
    exchange::acknowledge(books.conn(), seq, Phase::after(kind).unwrap_or(exchange.phase), row)?;
    Ok(Ok(()))
}

/// What has become of an order, for the requester who collects its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collected {
    /// `{"receipt":…,"signature":"…"}` in canonical form.
    Ready(String),
    /// It runs.
    Running,
    /// No receipt is here, and none will be.
    Nothing,
}

/// See [`crate::Reader::receipt_for`].
pub(crate) fn collect(
    conn: &Connection,
    requester: NodeId,
    id: &exchange::OrderId,
) -> rusqlite::Result<Collected> {
    let exchange = exchange::of_order(conn, Side::Served, requester, id)?;
    match exchange.map(|exchange| (exchange.phase, exchange.entry)) {
        None | Some((Phase::Gone, _)) => Ok(Collected::Nothing),
        Some((Phase::Open, _)) => Ok(Collected::Running),
        Some((_, entry)) => {
            let mut signed = conn.prepare_cached("SELECT signed FROM entry WHERE seq = ?1")?;
            signed.query_row([integer(entry)], |row| row.get(0).map(Collected::Ready))
        }
    }
}
