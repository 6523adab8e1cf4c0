//! Leases that are open: what runs where, what is to be cancelled, what may be hedged.

use super::{LeaseId, TaskId, Tasks, WaitingTask};
use crate::{
    endpoint::Endpoint,
    limits::LISTED_MAX,
    opening::Opening,
    store::{
        error::StoreError,
        tx::{damaged, integer, moment, natural},
    },
};
use protocol::{Credits, Timestamp};
use rusqlite::{Row, params};

/// A lease that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLease {
    /// Which.
    pub id: LeaseId,
    /// Of which task.
    pub task: TaskId,
    /// `lob1…`, `local` or an upstream's name.
    pub worker: String,
    /// The order that the worker has.
    pub order_id: Option<String>,
    /// What it may cost.
    pub reserved: Credits,
    /// Its order's: a later answer is nobody's debt.
    pub answer_by: Option<Timestamp>,
    /// When it was opened.
    pub leased_at: Timestamp,
    /// Whether it is a second try.
    pub hedge: bool,
}

/// What [`read`] reads.
pub(super) const COLUMNS: &str =
    "lease.id, lease.batch, lease.line, worker, order_id, lease.reserved, answer_by, leased_at, lease.hedge";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<OpenLease> {
    Ok(OpenLease {
        id: LeaseId(row.get(0)?),
        task: TaskId { batch: row.get(1)?, line: row.get(2)? },
        worker: row.get(3)?,
        order_id: row.get(4)?,
        reserved: Credits::saturating(natural(row, 5)?),
        answer_by: moment(row, 6)?,
        leased_at: Timestamp::from_millis(natural(row, 7)?),
        hedge: row.get(8)?,
    })
}

impl Tasks<'_> {
    /// Whether an open lease has this order: then its receipt comes with the answer that the lease waits for.
    pub async fn has_order(self, order_id: &str) -> Result<bool, StoreError> {
        const HAS: &str = "SELECT 1 FROM lease WHERE order_id = ?1";
        let order_id = order_id.to_owned();
        self.work.read(move |view| Ok(view.one(HAS, [order_id], |_| Ok(()))?.is_some())).await
    }

    /// Leases of this process that are to be cancelled at their workers and then closed: their twin was
    /// quicker, their batch is being cancelled or has expired, or their job was cancelled.
    pub async fn to_cancel(self) -> Result<Vec<OpenLease>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM lease WHERE losing = 1 AND instance = ?1 \
             UNION SELECT {COLUMNS} FROM batch JOIN lease ON lease.batch = batch.seq \
             WHERE batch.status = 7 AND instance = ?1 LIMIT ?2"
        );
        let me = self.work.me();
        self.work.read(move |view| view.all(&sql, params![me, LISTED_MAX as i64], read)).await
    }

    /// Lines that run since before `leased_before`, once, in a batch that allows hedging and has no line
    /// waiting: an idle worker may try each a second time ([`super::NewLease::hedge`]).
    pub async fn hedgeable(
        self,
        leased_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(OpenLease, WaitingTask)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, endpoint, model, opening, attempts, bytes FROM lease \
             JOIN task USING (batch, line) JOIN lane ON lane.id = task.lane \
             WHERE leased_at <= ?1 AND task.state = 1 AND lease.batch IN \
             (SELECT seq FROM batch WHERE open = 1 AND hedge = 1 AND NOT EXISTS \
             (SELECT 1 FROM lane JOIN task ON task.lane = lane.id AND task.state = 0 WHERE lane.batch = batch.seq)) \
             AND NOT EXISTS (SELECT 1 FROM lease AS twin \
             WHERE twin.batch = lease.batch AND twin.line = lease.line AND twin.id <> lease.id) \
             ORDER BY leased_at LIMIT ?2"
        );
        let wanted = [integer(leased_before.as_millis()), integer(limit.min(LISTED_MAX) as u64)];
        self.work.read(move |view| view.all(&sql, wanted, with_task)).await
    }
}

fn with_task(row: &Row<'_>) -> rusqlite::Result<(OpenLease, WaitingTask)> {
    let lease = read(row)?;
    let model: String = row.get(10)?;
    let task = WaitingTask {
        id: lease.task,
        terms: None,
        endpoint: Endpoint::from_code(row.get(9)?).ok_or_else(|| damaged(9))?,
        model: model.parse().map_err(|_| damaged(10))?,
        opening: Opening(row.get::<_, i64>(11)?.cast_unsigned()),
        attempts: row.get(12)?,
        bytes: natural(row, 13)?,
    };
    Ok((lease, task))
}
