//! Whether a row of the journal says what its statement and its receipt say.

use crate::{
    column::{integer, natural},
    entry::Origin,
    exchange::{self, Exchange, order_id},
    journal::{Kind, Step},
    party::Party,
    post::charge,
    serving::acks::receipt_sha256,
    settlement::{SettlementHalf, SettlementKind},
};
use protocol::{
    Ack, NodeId, Order, Receipt, Rejected, Requester, Signed, Verified,
    ack::{AckRefused, Claim, Verdict},
};
use rusqlite::{Connection, OptionalExtension};

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("its order: {0}")]
    Order(Rejected),
    #[error("its acknowledgement: {0}")]
    Ack(#[from] AckRefused),
    #[error("its settlement: {0}")]
    Settlement(Rejected),
    #[error("its receipt: {0}")]
    Receipt(Rejected),
    #[error("{0}")]
    Differs(&'static str),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

pub(super) fn check(conn: &Connection, seq: i64, step: &Step<'_>) -> Result<(), Wrong> {
    match step.kind {
        Kind::Taken | Kind::Placed | Kind::ImportedOrder => begins(conn, seq, step),
        Kind::Claimed | Kind::ClaimedUnordered => claims(conn, step),
        Kind::Acknowledged
        | Kind::Agreed
        | Kind::ReceivedOk
        | Kind::ImportedAck
        | Kind::Disputed
        | Kind::ReceivedDisputed
        | Kind::ImportedDispute => acknowledges(conn, step),
        Kind::Owed => owes(conn, step),
        Kind::PaymentProposed
        | Kind::PaidToMe
        | Kind::PaidByMe
        | Kind::ForgaveUnordered
        | Kind::ForgaveClaim
        | Kind::ForgaveDisputed
        | Kind::ForgaveSettled
        | Kind::ForgivenSettled
        | Kind::ForgivenDisputed => settles(conn, step),
        Kind::TakenUnordered
        | Kind::Resumed
        | Kind::Released
        | Kind::Lost
        | Kind::Found
        | Kind::Blocked
        | Kind::Unblocked
        | Kind::Lent
        | Kind::LentNoMore => that(step.signed.is_empty(), "carries a statement"),
    }
}

fn that(holds: bool, otherwise: &'static str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Differs(otherwise)) }
}

/// An order is its requester's, for as much as was reserved, and known by its id and its hash.
fn begins(conn: &Connection, seq: i64, step: &Step<'_>) -> Result<(), Wrong> {
    let order = order(step.signed)?;
    let other = if step.kind == Kind::Placed { order.worker } else { order.requester };
    that(step.who == Party::Node(other), "names another party than its order")?;
    let reserved = if step.kind == Kind::ImportedOrder { 0 } else { order.max_credits.get() };
    that(step.reserved == reserved, "reserves another sum than its order")?;
    let Some(exchange) = exchange::get(conn, seq.unsigned_abs())? else { return Ok(()) };
    let known = (exchange.order_id, exchange.order_sha256);
    let should = (order_id(&order.order_id), Some(order.signed().sha256()));
    that(known == should, "its order is known under another id or hash")?;
    if step.kind == Kind::ImportedOrder {
        let receipt = receipt(conn, step.entry)?;
        let answered = receipt.answers.as_ref().map(|answer| answer.order_sha256);
        let between = (receipt.worker, receipt.requester) == (order.worker, Requester::Node(order.requester));
        return that(between && answered == known.1, "its receipt answers another order");
    }
    Ok(())
}

/// A receipt charges what the claim says, and no more than was reserved.
fn claims(conn: &Connection, step: &Step<'_>) -> Result<(), Wrong> {
    let receipt = receipt(conn, step.entry)?;
    that(step.credits <= step.reserved, "claims more than was reserved")?;
    let named = match step.who {
        Party::Node(node) | Party::Believed(node) => Requester::Node(node),
        Party::Anonymous => Requester::Anonymous,
    };
    that(receipt.requester == named, "its receipt names another requester")?;
    let charged = match &receipt.answers {
        Some(_) => charge(&receipt),
        // It names no sum: at which price it was made our entry says.
        None => entry_credits(conn, step.entry)?,
    };
    that(step.credits == charged.min(step.reserved), "claims another sum than its receipt")?;
    let ordered = begun(conn, step)?.order_sha256;
    let answered = receipt.answers.as_ref().map(|answer| answer.order_sha256);
    that(ordered == answered, "its receipt answers another order")
}

/// An acknowledgement is the requester's, of this receipt, and says what the row says.
fn acknowledges(conn: &Connection, step: &Step<'_>) -> Result<(), Wrong> {
    let exchange = begun(conn, step)?;
    let ack = Ack::parse(step.signed.as_bytes()).map_err(AckRefused::from)?;
    let received = matches!(step.kind, Kind::ReceivedOk | Kind::ReceivedDisputed);
    let requester = match step.who {
        // Ours: the order says who we are.
        _ if received => {
            let order = row_text(conn, step.about)?;
            Signed::<Order>::parse(order.as_bytes()).map_err(Wrong::Order)?.unverified().requester
        }
        Party::Node(requester) => requester,
        Party::Believed(_) | Party::Anonymous => return Err(Wrong::Differs("nobody can acknowledge it")),
    };
    let claim = Claim {
        requester,
        order_sha256: exchange.order_sha256.unwrap_or_default(),
        receipt_sha256: receipt_sha256(conn, step.entry)?,
    };
    let ack = ack.verify_for(&claim)?;
    let ok = matches!(step.kind, Kind::Acknowledged | Kind::Agreed | Kind::ReceivedOk | Kind::ImportedAck);
    that((ack.verdict == Verdict::Ok) == ok, "its acknowledgement says something else")?;
    if received {
        let receipt = receipt(conn, step.entry)?;
        that(step.who == Party::Node(receipt.worker), "its receipt is another worker's")?;
        return that(step.credits == charge(&receipt), "counts another sum than its receipt");
    }
    that(step.credits == exchange.credits, "counts another sum than was claimed")
}

/// A version 1 receipt counts as its entry says.
fn owes(conn: &Connection, step: &Step<'_>) -> Result<(), Wrong> {
    let mut entry = conn.prepare_cached("SELECT worker, origin, credits FROM entry WHERE seq = ?1")?;
    let entry = entry
        .query_row([integer(step.entry)], |row| Ok((row.get::<_, Party>(0)?, row.get(1)?, natural(row, 2)?)));
    let Some((worker, origin, credits)) = entry.optional()? else {
        return Err(Wrong::Differs("its receipt is not there"));
    };
    let received = Origin::from_code(origin) == Some(Origin::Received);
    that(worker == step.who && received, "its receipt is not one that we were given by this worker")?;
    that(credits == step.credits, "counts another sum than its receipt")
}

/// A payment moves what both sides signed, what is forgiven what its creditor did.
fn settles(conn: &Connection, step: &Step<'_>) -> Result<(), Wrong> {
    let half = SettlementHalf::parse(step.signed.as_bytes()).map_err(Wrong::Settlement)?;
    // Without an order a header names who asks, which is all there is to forgive.
    let unordered = step.kind == Kind::ForgaveUnordered;
    let other =
        |node: NodeId| step.who == Party::Node(node) || unordered && step.who == Party::Believed(node);
    that(other(half.from) || other(half.to), "its settlement is between others")?;
    if step.kind == Kind::PaymentProposed {
        return that(half.kind == SettlementKind::Settle, "its settlement is no payment");
    }
    let owed_less = matches!(step.kind, Kind::PaidByMe | Kind::ForgivenSettled | Kind::ForgivenDisputed);
    that(other(if owed_less { half.to } else { half.from }), "its settlement goes the other way")?;
    that(step.credits == half.credits.get(), "moves another sum than its settlement")?;
    if unordered {
        that(
            half.kind == SettlementKind::Forgive && half.order_id.is_none(),
            "its settlement forgives no sum",
        )?;
        that(step.reserved <= step.credits, "takes more from claims than it forgives")?;
    }
    match half.kind {
        SettlementKind::Forgive => that(half.signer() == half.to, "its settlement is not the creditor's"),
        SettlementKind::Settle => {
            let first = row_text(conn, step.about)?;
            let first = SettlementHalf::parse(first.as_bytes()).map_err(Wrong::Settlement)?;
            let both = first.canonical() == half.canonical() && first.signer() != half.signer();
            that(both, "the other side's signature is not there")
        }
    }
}

fn begun(conn: &Connection, step: &Step<'_>) -> Result<Exchange, Wrong> {
    exchange::get(conn, step.about)?.ok_or(Wrong::Differs("is about an exchange that is not there"))
}

fn order(signed: &str) -> Result<Verified<Order>, Wrong> {
    Signed::<Order>::parse(signed.as_bytes()).and_then(Signed::verify).map_err(Wrong::Order)
}

/// Its signature is checked where its entry is.
fn receipt(conn: &Connection, entry: u64) -> Result<Receipt, Wrong> {
    let mut signed = conn.prepare_cached("SELECT signed FROM entry WHERE seq = ?1")?;
    let signed = signed.query_row([integer(entry)], |row| row.get::<_, String>(0)).optional()?;
    let signed = signed.ok_or(Wrong::Differs("its receipt is not there"))?;
    let receipt = Signed::<Receipt>::parse(signed.as_bytes()).map_err(Wrong::Receipt)?;
    Ok(receipt.unverified().clone())
}

fn entry_credits(conn: &Connection, entry: u64) -> Result<u64, Wrong> {
    let mut credits = conn.prepare_cached("SELECT credits FROM entry WHERE seq = ?1")?;
    let credits = credits.query_row([integer(entry)], |row| natural(row, 0)).optional()?;
    credits.ok_or(Wrong::Differs("its receipt is not there"))
}

fn row_text(conn: &Connection, row: u64) -> Result<String, Wrong> {
    let mut signed = conn.prepare_cached("SELECT signed FROM journal WHERE seq = ?1")?;
    let signed = signed.query_row([integer(row)], |row| row.get(0)).optional()?;
    signed.ok_or(Wrong::Differs("is about a row that is not there"))
}
