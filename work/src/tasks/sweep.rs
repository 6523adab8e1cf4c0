//! Leases of dead processes, and rows of what is over.

use super::{
    close::close,
    open::{COLUMNS, read},
    verdict::{Charge, Verdict},
};
use crate::{
    limits::ROWS_AT_ONCE,
    store::{instance::NOBODY, tx::Tx},
};
use protocol::Timestamp;
use rusqlite::params;

/// Part of [`crate::Work::sweep`]; `dead` are processes that died. Their leases with an order wait for
/// [`super::Tasks::adopt`], those without one are closed: nobody can answer them any more.
pub(crate) fn sweep(tx: &Tx<'_>, dead: &[i64], now: Timestamp) -> rusqlite::Result<()> {
    const ORPHAN: &str = "UPDATE lease SET instance = ?2 WHERE instance = ?1";
    const UNUSED: &str = "DELETE FROM lane WHERE batch = 0 AND NOT EXISTS \
        (SELECT 1 FROM task WHERE task.batch = 0 AND task.lane = lane.id)";
    for instance in dead {
        let sql = format!("SELECT {COLUMNS} FROM lease WHERE instance = ?1 AND order_id IS NULL");
        for lease in tx.all(&sql, [instance], read)? {
            let verdict = Verdict::Retry { not_before: now, error: "the gateway died over it".to_owned() };
            close(tx, &lease, &verdict, Charge::default(), now)?;
        }
        tx.run(ORPHAN, params![instance, NOBODY])?;
    }
    tx.run(UNUSED, []).map(|_| ())
}

/// Removes rows of a batch's lines, some at a time. True when none is left.
pub(crate) fn clear_batch(tx: &Tx<'_>, batch: i64) -> rusqlite::Result<bool> {
    const OUTCOMES: &str =
        "DELETE FROM outcome WHERE id IN (SELECT id FROM outcome WHERE batch = ?1 LIMIT ?2)";
    const TASKS: &str = "DELETE FROM task WHERE batch = ?1 AND line IN \
        (SELECT line FROM task WHERE batch = ?1 ORDER BY line LIMIT ?2)";
    let rows = params![batch, ROWS_AT_ONCE as i64];
    let removed = tx.run(OUTCOMES, rows)? + tx.run(TASKS, params![batch, ROWS_AT_ONCE as i64])?;
    if removed == 0 {
        tx.run("DELETE FROM lane WHERE batch = ?1", [batch])?;
    }
    Ok(removed == 0)
}
