//! Batches of dead processes, and what is left of ended ones.

use crate::{
    limits::{BATCH_KEPT_MS, BATCHES_ENDED_MAX, ROWS_AT_ONCE},
    store::tx::{Tx, integer},
    tasks,
};
use protocol::Timestamp;
use rusqlite::params;

/// Part of [`crate::Work::sweep`]; `dead` are processes that died. True if there is more to do.
pub(crate) fn sweep(tx: &Tx<'_>, dead: &[i64], now: Timestamp) -> rusqlite::Result<bool> {
    const LET_GO: &str = "UPDATE batch SET keeper = 0 WHERE keeper = ?1";
    dead.iter().try_for_each(|instance| tx.run(LET_GO, [instance]).map(|_| ()))?;
    let more = clear(tx)?;
    forget(tx, now)?;
    Ok(more)
}

/// Removes rows of lines that stand in files now.
fn clear(tx: &Tx<'_>) -> rusqlite::Result<bool> {
    const NEXT: &str = "SELECT seq FROM batch WHERE ended = 1 AND cleared = 0 ORDER BY seq LIMIT 1";
    let Some(seq) = tx.one(NEXT, [], |row| row.get(0))? else { return Ok(false) };
    if tasks::clear_batch(tx, seq)? {
        tx.run("UPDATE batch SET cleared = 1 WHERE seq = ?1", [seq])?;
    }
    Ok(true)
}

fn forget(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<()> {
    // A hedge that lost may still be open, and its credits are booked on the batch.
    const OLD: &str = "SELECT seq FROM batch WHERE ended = 1 AND cleared = 1 AND leased = 0 AND ended_at <= ?1 \
        ORDER BY ended_at LIMIT ?2";
    const ENDED: &str = "SELECT count(*) FROM batch WHERE ended = 1";
    let before = now.as_millis().saturating_sub(BATCH_KEPT_MS);
    let over = tx.number(ENDED, [])?.saturating_sub(BATCHES_ENDED_MAX).min(ROWS_AT_ONCE as u64);
    let old: Vec<i64> = tx.all(OLD, params![integer(before), ROWS_AT_ONCE as i64], |row| row.get(0))?;
    let early: Vec<i64> = tx.all(OLD, params![i64::MAX, integer(over)], |row| row.get(0))?;
    for seq in old.into_iter().chain(early) {
        tx.run("DELETE FROM served WHERE batch = ?1", [seq])?;
        tx.run("DELETE FROM batch WHERE seq = ?1", [seq])?;
    }
    Ok(())
}
