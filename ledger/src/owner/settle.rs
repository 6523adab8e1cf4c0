//! Payments outside of the network, and what is forgiven.

use crate::{
    append::Append,
    column::{integer, natural},
    exchange::{self, Exchange, OrderId, Phase, Side, order_id},
    journal::{Kind, Step},
    party::Party,
    settlement::{SettlementHalf, SettlementKind},
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Credits, NodeId, Rejected, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

const FIND: &str = "SELECT seq, mine, done FROM payment WHERE id = ?1";
const STORE: &str = "INSERT OR REPLACE INTO payment (id, seq, mine, done) VALUES (?1, ?2, ?3, ?4)";

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is complete, and the balance moved.
    Moved,
    /// The other side's signature is not here yet; nothing moved.
    Waiting,
    /// The same was here before.
    Already,
}

/// Why a settlement is not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettleError {
    /// Nobody could read it back.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It is between others.
    #[error("the settlement is between other nodes")]
    NotOurs,
    /// Another settlement has this id.
    #[error("another settlement has this id, make a new one")]
    IdUsed,
    /// A debtor cannot forgive.
    #[error("only the creditor can forgive")]
    NotTheCreditor,
    /// Nothing is known of that order, or it was never answered.
    #[error("no receipt is here that answers this order")]
    NoReceipt,
    /// It was forgiven before.
    #[error("what this order was charged for is forgiven already")]
    ForgivenBefore,
    /// Another sum than what the order was charged.
    #[error("the order was charged {charged} credits, forgive that much")]
    AnotherSum {
        /// By the receipt.
        charged: Credits,
    },
    /// More than is owed cannot be forgiven.
    #[error(
        "{owed} credits are owed and settled, or claimed without an order: forgive at most that much; the \
         claim of an order is forgiven by its id"
    )]
    MoreThanOwed {
        /// And settled, or claimed without an order.
        owed: Credits,
    },
    /// The ledger could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

type Outcome = Result<Settled, SettleError>;

/// One side's statement, ours or the other's.
pub(crate) struct Settle {
    pub(crate) half: SettlementHalf,
    pub(crate) json: String,
    pub(crate) id: OrderId,
    pub(crate) now: Timestamp,
}

/// What is known of a settlement's id.
struct Known {
    seq: u64,
    mine: bool,
    done: bool,
}

impl Work for Settle {
    type Done = Settled;
    type Refused = SettleError;
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Outcome> {
        let (me, half) = (books.me(), &self.half);
        let other = match (half.from == me, half.to == me) {
            (true, false) => half.to,
            (false, true) => half.from,
            _ => return Ok(Err(SettleError::NotOurs)),
        };
        let known = find(books.conn(), &self.id)?;
        if let Some(known) = &known {
            if signed_at(books.conn(), known.seq)? != half.canonical() {
                return Ok(Err(SettleError::IdUsed));
            }
            if known.done || known.mine == (half.signer() == me) {
                return Ok(Ok(Settled::Already));
            }
        }
        let step =
            Step { signed: &self.json, ..Step::new(Kind::PaymentProposed, self.now, Party::Node(other)) };
        match half.kind {
            SettlementKind::Forgive if half.signer() != half.to => Ok(Err(SettleError::NotTheCreditor)),
            SettlementKind::Forgive => self.forgive(books, other, step),
            SettlementKind::Settle => self.pay(books, step, known),
        }
    }
}

impl Settle {
    fn pay(&self, books: &mut Append<'_>, step: Step<'_>, first: Option<Known>) -> rusqlite::Result<Outcome> {
        let mine = self.half.signer() == books.me();
        let Some(first) = first else {
            let seq = books.record(&step)?;
            store(books.conn(), &self.id, &Known { seq, mine, done: false })?;
            return Ok(Ok(Settled::Waiting));
        };
        let seq = books.record(&Step { about: first.seq, ..self.moved(books.me(), step) })?;
        store(books.conn(), &self.id, &Known { seq, mine, done: true })?;
        Ok(Ok(Settled::Moved))
    }

    fn forgive(&self, books: &mut Append<'_>, other: NodeId, step: Step<'_>) -> rusqlite::Result<Outcome> {
        let me = books.me();
        let seq = match &self.half.order_id {
            Some(order) => match self.forgive_order(books, other, order, step)? {
                Ok(seq) => seq,
                Err(error) => return Ok(Err(error)),
            },
            None => match self.forgive_sum(books, other, step)? {
                Ok(seq) => seq,
                Err(error) => return Ok(Err(error)),
            },
        };
        let mine = self.half.signer() == me;
        store(books.conn(), &self.id, &Known { seq, mine, done: true })?;
        Ok(Ok(Settled::Moved))
    }

    /// What is settled first, then what was claimed without an order, which nobody can acknowledge. Where
    /// the node owes nothing that it proved, what stands under its mere name.
    fn forgive_sum(
        &self,
        books: &mut Append<'_>,
        other: NodeId,
        step: Step<'_>,
    ) -> rusqlite::Result<Result<u64, SettleError>> {
        let credits = self.half.credits.get();
        let mut owed_at_most = 0;
        let names: &[Party] = if self.half.to == books.me() {
            &[Party::Node(other), Party::Believed(other)]
        } else {
            &[Party::Node(other)]
        };
        for who in names {
            let (settled, unordered) = self.owed(books, *who)?;
            let owed = settled.saturating_add(unordered);
            if credits > owed {
                owed_at_most = owed.max(owed_at_most);
                continue;
            }
            let claimed = credits.saturating_sub(settled);
            let moved = Step { who: *who, ..self.moved(books.me(), step) };
            let forgave = Step { kind: Kind::ForgaveUnordered, reserved: claimed, ..moved };
            return books.record(if claimed > 0 { &forgave } else { &moved }).map(Ok);
        }
        Ok(Err(SettleError::MoreThanOwed { owed: Credits::saturating(owed_at_most) }))
    }

    /// What can be forgiven in a sum: settled, and claimed without an order.
    fn owed(&self, books: &mut Append<'_>, who: Party) -> rusqlite::Result<(u64, u64)> {
        let standing = books.standing(who)?;
        if self.half.to != books.me() {
            return Ok((standing.owed_by_me(), 0));
        }
        // Where no order's claim waits it need not be looked for.
        let ordered = if standing.claims > 0 { exchange::claimed_by_orders(books.conn(), who)? } else { 0 };
        Ok((standing.owed_to_me(), standing.claimed.saturating_sub(ordered)))
    }

    /// Takes what one order was charged out of the sum in which it stands.
    fn forgive_order(
        &self,
        books: &mut Append<'_>,
        other: NodeId,
        order: &str,
        step: Step<'_>,
    ) -> rusqlite::Result<Result<u64, SettleError>> {
        let side = if self.half.to == books.me() { Side::Served } else { Side::Asked };
        let id = order_id(order).unwrap_or_default();
        let found = exchange::of_order(books.conn(), side, other, &id)?;
        let Some(exchange) = found.filter(|exchange| exchange.entry > 0) else {
            return Ok(Err(SettleError::NoReceipt));
        };
        let kind = match (side, exchange.phase) {
            (_, Phase::Forgiven) => return Ok(Err(SettleError::ForgivenBefore)),
            (Side::Served, Phase::Claimed) => Kind::ForgaveClaim,
            (Side::Served, Phase::Disputed) => Kind::ForgaveDisputed,
            (Side::Served, Phase::Settled) => Kind::ForgaveSettled,
            (Side::Asked, Phase::Disputed) => Kind::ForgivenDisputed,
            (Side::Asked, Phase::Settled) => Kind::ForgivenSettled,
            _ => return Ok(Err(SettleError::NoReceipt)),
        };
        let Exchange { seq, entry, credits, .. } = exchange;
        if self.half.credits.get() != credits {
            return Ok(Err(SettleError::AnotherSum { charged: Credits::saturating(credits) }));
        }
        let changed = books.record(&Step { kind, about: seq, entry, credits, ..step })?;
        exchange::to_phase(books.conn(), seq, Phase::Forgiven, changed)?;
        Ok(Ok(changed))
    }

    /// The step that moves the balance.
    fn moved<'s>(&self, me: NodeId, step: Step<'s>) -> Step<'s> {
        let kind = if self.half.to == me { Kind::PaidToMe } else { Kind::PaidByMe };
        Step { kind, credits: self.half.credits.get(), ..step }
    }
}

fn find(conn: &Connection, id: &OrderId) -> rusqlite::Result<Option<Known>> {
    let known = conn
        .prepare_cached(FIND)?
        .query_row([id], |row| Ok(Known { seq: natural(row, 0)?, mine: row.get(1)?, done: row.get(2)? }));
    known.optional()
}

fn store(conn: &Connection, id: &OrderId, known: &Known) -> rusqlite::Result<()> {
    let Known { seq, mine, done } = known;
    conn.prepare_cached(STORE)?.execute(params![id, integer(*seq), mine, done])?;
    Ok(())
}

/// The canonical form of the settlement in a row of the journal; empty if that is damaged.
fn signed_at(conn: &Connection, seq: u64) -> rusqlite::Result<String> {
    let mut signed = conn.prepare_cached("SELECT signed FROM journal WHERE seq = ?1")?;
    let signed: String = signed.query_row([integer(seq)], |row| row.get(0))?;
    let half = SettlementHalf::parse(signed.as_bytes());
    Ok(half.map(|half| half.canonical().to_owned()).unwrap_or_default())
}
