//! Where an exchange stands: one row each, for good, so that no order is taken twice.

use crate::{
    column::{integer, natural},
    journal::Kind,
    party::Party,
};
use protocol::{NodeId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A question for the columns that [`Exchange::read`] reads.
macro_rules! which {
    ($which:literal) => {
        concat!(
            "SELECT seq, side, who, order_id, order_sha256, phase, reserved, pool, day, credits, entry, ack \
             FROM exchange WHERE ",
            $which
        )
    };
}

const INSERT: &str = "INSERT INTO exchange (seq, side, who, order_id, order_sha256, phase, reserved, pool, day, \
    credits, entry, ack, changed, owner, due) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, 0, ?1, ?11, ?12)";

/// On which side of it we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// We work.
    Served = 0,
    /// We ask.
    Asked = 1,
    /// Read from a file; moves nothing.
    Imported = 2,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It runs, or its receipt is awaited.
    Open = 0,
    /// It ended without a receipt.
    Gone = 1,
    /// The receipt waits for its acknowledgement, or nobody can give one.
    Claimed = 2,
    /// Order, receipt and ok.
    Settled = 3,
    /// The requester says no.
    Disputed = 4,
    /// The worker's owner let it go.
    Forgiven = 5,
}

impl Phase {
    const fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            0 => Phase::Open,
            1 => Phase::Gone,
            2 => Phase::Claimed,
            3 => Phase::Settled,
            4 => Phase::Disputed,
            5 => Phase::Forgiven,
            _ => return None,
        })
    }

    /// Where a step leaves its exchange; `None` for steps that are about none.
    pub(crate) const fn after(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Taken | Kind::TakenUnordered | Kind::Resumed | Kind::Placed | Kind::Found => Phase::Open,
            Kind::Released | Kind::Lost => Phase::Gone,
            Kind::Claimed | Kind::ClaimedUnordered | Kind::ImportedOrder => Phase::Claimed,
            Kind::Acknowledged | Kind::Agreed | Kind::ReceivedOk | Kind::ImportedAck => Phase::Settled,
            Kind::Disputed | Kind::ReceivedDisputed | Kind::ImportedDispute => Phase::Disputed,
            Kind::ForgaveClaim
            | Kind::ForgaveDisputed
            | Kind::ForgaveSettled
            | Kind::ForgivenSettled
            | Kind::ForgivenDisputed => Phase::Forgiven,
            Kind::Owed
            | Kind::PaymentProposed
            | Kind::PaidToMe
            | Kind::PaidByMe
            | Kind::Blocked
            | Kind::Unblocked
            | Kind::Lent
            | Kind::LentNoMore => return None,
        })
    }
}

/// A UUID's bytes: its digits may be of either case.
pub(crate) type OrderId = [u8; 16];

/// The bytes of a UUID; `None` for what is none.
pub(crate) fn order_id(text: &str) -> Option<OrderId> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text.replace('-', ""), &mut bytes).ok()?;
    Some(bytes)
}

/// One row. Amounts are credits.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The journal's row that began it.
    pub(crate) seq: u64,
    pub(crate) side: Side,
    /// The other side of it.
    pub(crate) who: Party,
    /// `None` without an order.
    pub(crate) order_id: Option<OrderId>,
    pub(crate) order_sha256: Option<[u8; 32]>,
    pub(crate) phase: Phase,
    /// What it may cost.
    pub(crate) reserved: u64,
    /// How much of that is drawn from the pool of `day`.
    pub(crate) pool: u64,
    pub(crate) day: u64,
    /// What the receipt charges; 0 before.
    pub(crate) credits: u64,
    /// The receipt's; 0 before.
    pub(crate) entry: u64,
    /// The journal's row with its acknowledgement; 0 before.
    pub(crate) ack: u64,
}

impl Exchange {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let out_of_range = |place, code| rusqlite::Error::IntegralValueOutOfRange(place, code);
        let side = match row.get(1)? {
            0 => Side::Served,
            1 => Side::Asked,
            2 => Side::Imported,
            other => return Err(out_of_range(1, other)),
        };
        let phase: i64 = row.get(5)?;
        Ok(Self {
            seq: natural(row, 0)?,
            side,
            who: row.get(2)?,
            order_id: row.get(3)?,
            order_sha256: row.get(4)?,
            phase: Phase::from_code(phase).ok_or_else(|| out_of_range(5, phase))?,
            reserved: natural(row, 6)?,
            pool: natural(row, 7)?,
            day: natural(row, 8)?,
            credits: natural(row, 9)?,
            entry: natural(row, 10)?,
            ack: natural(row, 11)?,
        })
    }

    /// `owner` is the instance that runs it, `due` when its receipt is to be asked for.
    pub(crate) fn insert(&self, conn: &Connection, owner: i64, due: Timestamp) -> rusqlite::Result<()> {
        let due = integer(due.as_millis());
        conn.prepare_cached(INSERT)?.execute(params![
            integer(self.seq),
            self.side as i64,
            self.who,
            self.order_id,
            self.order_sha256,
            self.phase as i64,
            integer(self.reserved),
            integer(self.pool),
            integer(self.day),
            integer(self.entry),
            owner,
            due,
        ])?;
        Ok(())
    }
}

fn find(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Option<Exchange>> {
    conn.prepare_cached(sql)?.query_row(params, Exchange::read).optional()
}

/// The exchange that the journal's row `seq` began.
pub(crate) fn get(conn: &Connection, seq: u64) -> rusqlite::Result<Option<Exchange>> {
    find(conn, which!("seq = ?1"), [integer(seq)])
}

/// That of an order by its id, which only its requester makes unique.
pub(crate) fn of_order(
    conn: &Connection,
    side: Side,
    who: NodeId,
    id: &OrderId,
) -> rusqlite::Result<Option<Exchange>> {
    let params = params![id, Party::Node(who), side as i64];
    find(conn, which!("order_id = ?1 AND who = ?2 AND side = ?3"), params)
}

/// That of another's order by the hash that receipts and acknowledgements name.
pub(crate) fn of_sha256(
    conn: &Connection,
    side: Side,
    sha256: &[u8; 32],
) -> rusqlite::Result<Option<Exchange>> {
    find(conn, which!("order_sha256 = ?1 AND side = ?2 AND side <> 1"), params![sha256, side as i64])
}

/// That of an order of ours by its hash, while its receipt is awaited: for a receipt that names another job.
/// Goes through all that are awaited.
pub(crate) fn awaited(conn: &Connection, sha256: &[u8; 32]) -> rusqlite::Result<Option<Exchange>> {
    find(conn, which!("order_sha256 = ?1 AND phase = 0 AND side = 1"), [sha256])
}

/// That of a receipt. One for work that we did for ourselves has two: ours as the worker then.
pub(crate) fn of_entry(conn: &Connection, entry: u64) -> rusqlite::Result<Option<Exchange>> {
    find(conn, which!("entry = ?1 AND entry > 0 ORDER BY side LIMIT 1"), [integer(entry)])
}

/// All that the instance `owner` runs.
pub(crate) fn run_by(conn: &Connection, owner: i64) -> rusqlite::Result<Vec<Exchange>> {
    let mut run = conn.prepare_cached(which!("owner = ?1 AND phase = 0 AND side = 0"))?;
    run.query_map([owner], Exchange::read)?.collect()
}

/// Moves it to another phase by the journal's row `changed`.
pub(crate) fn to_phase(conn: &Connection, seq: u64, phase: Phase, changed: u64) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE exchange SET phase = ?2, changed = ?3 WHERE seq = ?1";
    conn.prepare_cached(SQL)?.execute(params![integer(seq), phase as i64, integer(changed)])?;
    Ok(())
}

/// It is answered by the receipt at `entry`.
pub(crate) fn answer(
    conn: &Connection,
    seq: u64,
    phase: Phase,
    credits: u64,
    entry: u64,
    ack: u64,
    changed: u64,
) -> rusqlite::Result<()> {
    const SQL: &str =
        "UPDATE exchange SET phase = ?2, credits = ?3, entry = ?4, ack = ?5, changed = ?6 WHERE seq = ?1";
    let numbers =
        [integer(seq), phase as i64, integer(credits), integer(entry), integer(ack), integer(changed)];
    conn.prepare_cached(SQL)?.execute(numbers)?;
    Ok(())
}

/// Its receipt is acknowledged by the journal's row `ack`.
pub(crate) fn acknowledge(conn: &Connection, seq: u64, phase: Phase, ack: u64) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE exchange SET phase = ?2, ack = ?3, changed = ?3 WHERE seq = ?1";
    conn.prepare_cached(SQL)?.execute([integer(seq), phase as i64, integer(ack)])?;
    Ok(())
}

/// A reservation that was given back is made again.
pub(crate) fn resume(
    conn: &Connection,
    seq: u64,
    (pool, day): (u64, u64),
    owner: i64,
    changed: u64,
) -> rusqlite::Result<()> {
    const SQL: &str =
        "UPDATE exchange SET phase = 0, pool = ?2, day = ?3, owner = ?4, changed = ?5 WHERE seq = ?1";
    conn.prepare_cached(SQL)?.execute([
        integer(seq),
        integer(pool),
        integer(day),
        owner,
        integer(changed),
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_the_same_in_either_case_of_its_digits() {
        let id = order_id("9B2f6f0a-31c7-4d0e-8f4b-6f0a54c1b002").unwrap();
        assert_eq!(Some(id), order_id("9b2f6f0a-31c7-4d0e-8f4b-6f0a54c1b002"));
        assert_eq!(id[..2], [0x9b, 0x2f]);
        assert_eq!(order_id("9b2f"), None);
    }
}
