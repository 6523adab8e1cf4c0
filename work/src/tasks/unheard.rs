//! Orders of which nobody knows yet what they cost: their lease is closed, and their worker was not heard. It may
//! hold a good receipt, so what they may cost counts against their batch until the ledger knows.

use super::{JOBS, OpenLease, Tasks, verdict::Verdict};
use crate::{
    batches,
    limits::LISTED_MAX,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer, moment, natural},
    },
};
use protocol::{Credits, Timestamp};
use rusqlite::{Row, params};

/// An order whose lease was closed unheard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// For [`Tasks::unheard`].
    pub place: i64,
    /// As its worker knows it.
    pub order_id: String,
    /// `lob1…`
    pub worker: String,
    /// It was cancelled, and until this it is worth telling its worker so; `None` if it was not.
    pub cancel_until: Option<Timestamp>,
}

impl Tasks<'_> {
    /// Orders that were closed unheard, in the order in which they were, behind this place (0: from the first).
    pub async fn unheard(self, behind: i64, limit: usize) -> Result<Vec<Unheard>, StoreError> {
        const UNHEARD: &str = "SELECT place, order_id, worker, cancel_until FROM unheard WHERE place > ?1 \
            ORDER BY place LIMIT ?2";
        let limit = limit.min(LISTED_MAX) as i64;
        self.work.read(move |view| view.all(UNHEARD, [behind, limit], read)).await
    }

    /// It is known now what an order costs: it is booked, and what it might have cost is free again. Nothing
    /// happens for one that is known already.
    pub async fn heard(self, order_id: &str, charged: Credits, now: Timestamp) -> Result<(), StoreError> {
        let order_id = order_id.to_owned();
        self.work.write(Step::LeaseClosed, move |tx: &Tx<'_>| hear(tx, &order_id, charged, now).map(Ok)).await
    }

    /// Its worker knows that it is cancelled, or nothing of it.
    pub async fn cancel_heard(self, order_id: &str) -> Result<(), StoreError> {
        const TOLD: &str = "UPDATE unheard SET cancel_until = NULL WHERE order_id = ?1";
        let order_id = order_id.to_owned();
        self.work.write(Step::LeaseClosed, move |tx: &Tx<'_>| tx.run(TOLD, [&order_id]).map(|_| Ok(()))).await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Unheard> {
    Ok(Unheard {
        place: row.get(0)?,
        order_id: row.get(1)?,
        worker: row.get(2)?,
        cancel_until: moment(row, 3)?,
    })
}

/// Part of closing a lease whose cost is not known.
pub(super) fn keep(
    tx: &Tx<'_>,
    lease: &OpenLease,
    order_id: &str,
    verdict: &Verdict,
    now: Timestamp,
) -> rusqlite::Result<()> {
    const KEEP: &str = "INSERT INTO unheard (order_id, batch, worker, credits, since, cancel_until) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let cancel_until = lease.answer_by.filter(|_| *verdict == Verdict::Cut);
    let row = params![
        order_id,
        lease.task.batch,
        lease.worker,
        integer(lease.reserved.get()),
        integer(now.as_millis()),
        cancel_until.map(|until| integer(until.as_millis())),
    ];
    tx.run(KEEP, row).map(|_| ())
}

fn hear(tx: &Tx<'_>, order_id: &str, charged: Credits, now: Timestamp) -> rusqlite::Result<()> {
    const FIND: &str = "SELECT batch, worker, credits FROM unheard WHERE order_id = ?1";
    const FORGET: &str = "DELETE FROM unheard WHERE order_id = ?1";
    const BOOK: &str = "UPDATE served SET credits = credits + ?3 WHERE batch = ?1 AND worker = ?2";
    let found = tx.one(FIND, [order_id], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, natural(row, 2)?))
    })?;
    let Some((batch, worker, held)) = found else { return Ok(()) };
    tx.run(FORGET, [order_id])?;
    tx.run(BOOK, params![batch, worker, integer(charged.get())])?;
    let row = if batch == JOBS { None } else { batches::load(tx, batches::Row::BY_SEQ, [batch])? };
    if let Some(mut row) = row {
        row.account.hear(Credits::saturating(held), charged);
        batches::save(tx, &row, now)?;
    }
    Ok(())
}
