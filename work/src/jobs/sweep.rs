//! Jobs that nobody answered, and jobs that are long over.

use crate::{
    limits::{JOB_KEPT_MS, JOB_LIFE_MS, JOBS_ENDED_MAX, ROWS_AT_ONCE},
    store::tx::{Tx, integer},
    tasks::{self, JOBS, TaskId},
};
use protocol::Timestamp;
use rusqlite::params;

/// Part of [`crate::Work::sweep`].
pub(crate) fn sweep(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<()> {
    const LATE: &str =
        "SELECT line FROM job WHERE ended = 0 AND created_at <= ?1 ORDER BY created_at LIMIT ?2";
    const OLD: &str = "SELECT line FROM job WHERE ended = 1 AND ended_at <= ?1 ORDER BY ended_at LIMIT ?2";
    const ENDED: &str = "SELECT count(*) FROM job WHERE ended = 1";
    let ago = |ms| integer(now.as_millis().saturating_sub(ms));
    let lines = |sql, before, limit| tx.all(sql, params![before, limit], |row| row.get::<_, i64>(0));
    for line in lines(LATE, ago(JOB_LIFE_MS), ROWS_AT_ONCE as i64)? {
        let task = TaskId { batch: JOBS, line };
        tasks::withdraw(tx, task, ("expired", "nobody answered the job in seven days"), now)?;
    }
    let over = tx.number(ENDED, [])?.saturating_sub(JOBS_ENDED_MAX).min(ROWS_AT_ONCE as u64);
    let old = lines(OLD, ago(JOB_KEPT_MS), ROWS_AT_ONCE as i64)?;
    let early = lines(OLD, i64::MAX, integer(over))?;
    for line in old.into_iter().chain(early) {
        tx.run("DELETE FROM outcome WHERE batch = ?1 AND line = ?2", [JOBS, line])?;
        tx.run("DELETE FROM task WHERE batch = ?1 AND line = ?2", [JOBS, line])?;
        tx.run("DELETE FROM job WHERE line = ?1", [line])?;
    }
    Ok(())
}
