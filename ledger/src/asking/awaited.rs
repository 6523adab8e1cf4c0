//! Orders of ours whose receipt has not come.

use crate::{
    append::Append,
    column::{integer, natural},
    exchange::{self, Exchange, OrderId, Phase, Side},
    journal::{Kind, Step},
    limits::{AWAITED_MS_MAX, GIVEN_UP_AT_ONCE},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{NodeId, Order, Rejected, Signed, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

const UNANSWERED: &str = "SELECT exchange.who, journal.at, journal.signed \
    FROM exchange JOIN journal ON journal.seq = exchange.seq \
    WHERE exchange.phase = 0 AND exchange.side = 1 AND exchange.due <= ?1 AND journal.at <= ?2 \
    ORDER BY exchange.due LIMIT ?3";
const TOO_OLD: &str = "SELECT exchange.seq FROM exchange JOIN journal ON journal.seq = exchange.seq \
    WHERE exchange.phase = 0 AND exchange.side = 1 AND journal.at <= ?1 LIMIT ?2";
/// The first of them, by the index alone: no other order of ours needs to be looked at.
const OLDEST: &str = "SELECT at FROM journal WHERE seq = \
    (SELECT min(seq) FROM exchange INDEXED BY exchange_awaited WHERE phase = 0 AND side = 1)";
const LATER: &str = "UPDATE exchange SET due = ?2 WHERE seq = ?1";

/// An order of ours that waits for its receipt, at `GET /v1/receipts/{orderId}` of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Who was asked.
    pub worker: NodeId,
    /// What was ordered.
    pub order: Signed<Order>,
    /// When.
    pub placed_at: Timestamp,
}

/// See [`crate::Reader::order_placed`].
pub(crate) fn placed(
    conn: &Connection,
    worker: NodeId,
    id: &OrderId,
) -> rusqlite::Result<Option<Signed<Order>>> {
    const SIGNED: &str = "SELECT signed FROM journal WHERE seq = ?1";
    let Some(found) = exchange::of_order(conn, Side::Asked, worker, id)? else { return Ok(None) };
    let mut signed = conn.prepare_cached(SIGNED)?;
    let json: Vec<u8> =
        signed.query_row([integer(found.seq)], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?;
    // A damaged one is the audit's.
    Ok(read_order(&json).ok())
}

/// See [`crate::Reader::unanswered`].
pub(crate) fn unanswered(
    conn: &Connection,
    now: Timestamp,
    placed_before: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<Awaited>> {
    let mut unanswered = conn.prepare_cached(UNANSWERED)?;
    let bounds = [now.as_millis(), placed_before.as_millis(), limit as u64].map(integer);
    let mut rows = unanswered.query(bounds)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let placed_at = Timestamp::from_millis(natural(row, 1)?);
        let order = read_order(row.get_ref(2)?.as_bytes()?);
        // A damaged one is the audit's.
        if let (Some(worker), Ok(order)) = (row.get::<_, Party>(0)?.node(), order) {
            found.push(Awaited { worker, order, placed_at });
        }
    }
    Ok(found)
}

fn read_order(json: &[u8]) -> Result<Signed<Order>, Rejected> {
    Signed::parse(json)
}

/// What is known of an order that is not answered.
#[derive(Clone, Copy)]
pub(crate) enum News {
    /// No receipt will come for it.
    Lost,
    /// To be asked for again, not before.
    AskAgain(Timestamp),
}

pub(crate) struct Hear {
    pub(crate) worker: NodeId,
    pub(crate) id: OrderId,
    pub(crate) news: News,
    pub(crate) now: Timestamp,
}

impl Work for Hear {
    type Done = ();
    type Refused = Unwritten;
    // What a power cut forgets is asked again.
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), Unwritten>> {
        let found = exchange::of_order(books.conn(), Side::Asked, self.worker, &self.id)?;
        let Some(open) = found.filter(|open| open.phase == Phase::Open) else { return Ok(Ok(())) };
        match self.news {
            News::Lost => lose(books, &open, self.now)?,
            News::AskAgain(at) => {
                let due = integer(at.as_millis());
                books.conn().prepare_cached(LATER)?.execute(params![integer(open.seq), due])?;
            }
        }
        Ok(Ok(()))
    }
}

/// Whether an order waits for longer than a worker keeps receipts.
pub(crate) fn any_too_old(conn: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let oldest = conn.prepare_cached(OLDEST)?.query_row([], |row| natural(row, 0)).optional()?;
    Ok(oldest.is_some_and(|at| at <= too_old_from(now)))
}

/// When an order that is too old now was placed at the latest, in Unix milliseconds.
const fn too_old_from(now: Timestamp) -> u64 {
    now.as_millis().saturating_sub(AWAITED_MS_MAX)
}

/// Gives up what has waited for longer than a worker keeps receipts. Gives their number.
pub(crate) struct GiveUp {
    pub(crate) now: Timestamp,
}

impl Work for GiveUp {
    type Done = usize;
    type Refused = Unwritten;
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<usize, Unwritten>> {
        let conn = books.conn();
        let mut too_old = conn.prepare_cached(TOO_OLD)?;
        let bounds = [too_old_from(self.now), GIVEN_UP_AT_ONCE as u64].map(integer);
        let found = too_old.query_map(bounds, |row| natural(row, 0))?;
        let found = found.collect::<Result<Vec<_>, _>>()?;
        for seq in &found {
            if let Some(open) = exchange::get(conn, *seq)? {
                lose(books, &open, self.now)?;
            }
        }
        Ok(Ok(found.len()))
    }
}

fn lose(books: &mut Append<'_>, open: &Exchange, now: Timestamp) -> rusqlite::Result<()> {
    let Exchange { seq, who, reserved, .. } = *open;
    let changed = books.record(&Step { about: seq, reserved, ..Step::new(Kind::Lost, now, who) })?;
    exchange::to_phase(books.conn(), seq, Phase::Gone, changed)
}
