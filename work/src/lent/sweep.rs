//! What dead processes ran is queued again; what is over long enough is forgotten.

use super::{claim, next::drop_late, state};
use crate::{
    limits::{LENT_ATTEMPTS_MAX, LENT_ENDED_MAX, LENT_KEPT_MS, ROWS_AT_ONCE},
    store::tx::{Tx, integer},
};
use protocol::Timestamp;
use rusqlite::params;

/// Part of [`crate::Work::sweep`]; `dead` are processes that died.
pub(crate) fn sweep(tx: &Tx<'_>, dead: &[i64], now: Timestamp) -> rusqlite::Result<()> {
    dead.iter().try_for_each(|instance| take_back(tx, *instance, now))?;
    drop_late(tx, now)?;
    forget(tx, now)
}

fn take_back(tx: &Tx<'_>, instance: i64, now: Timestamp) -> rusqlite::Result<()> {
    const CANCELLED: &str = "UPDATE lent SET state = ?2, instance = 0, ended_at = ?3, bytes = 0, body = NULL, \
        error_type = 'cancelled', error_message = 'the job was cancelled' \
        WHERE state = 1 AND instance = ?1 AND cancel = 1";
    const TOO_OFTEN: &str = "UPDATE lent SET state = ?2, instance = 0, ended_at = ?3, bytes = 0, body = NULL, \
        error_type = 'worker_restarted', error_message = 'the worker died over it every time it ran' \
        WHERE state = 1 AND instance = ?1 AND attempts >= ?4";
    const AGAIN: &str = "UPDATE lent SET state = ?2, instance = 0, started_at = NULL \
        WHERE state = 1 AND instance = ?1";
    let at = integer(now.as_millis());
    tx.run(CANCELLED, params![instance, state::FAILED, at])?;
    tx.run(TOO_OFTEN, params![instance, state::FAILED, at, LENT_ATTEMPTS_MAX])?;
    tx.run(AGAIN, params![instance, state::QUEUED]).map(|_| ())
}

fn forget(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<()> {
    const OLD: &str = "DELETE FROM lent WHERE seq IN \
        (SELECT seq FROM lent WHERE state >= 2 AND ended_at <= ?1 ORDER BY ended_at LIMIT ?2)";
    const ENDED: &str = "SELECT count(*) FROM lent WHERE state >= 2";
    // What waits for its claim or its acknowledgement is not forgotten early.
    const OLDEST: &str = "DELETE FROM lent WHERE seq IN (SELECT seq FROM lent \
        WHERE state >= 2 AND claim <> ?1 AND result IS NULL ORDER BY ended_at LIMIT ?2)";
    const STRANGERS: &str = "DELETE FROM borrower WHERE requester IN (SELECT requester FROM borrower \
        WHERE NOT EXISTS (SELECT 1 FROM lent WHERE lent.requester = borrower.requester) LIMIT ?1)";
    let before = now.as_millis().saturating_sub(LENT_KEPT_MS);
    tx.run(OLD, params![integer(before), ROWS_AT_ONCE as i64])?;
    let over = tx.number(ENDED, [])?.saturating_sub(LENT_ENDED_MAX).min(ROWS_AT_ONCE as u64);
    if over > 0 {
        tx.run(OLDEST, params![claim::DUE, integer(over)])?;
    }
    tx.run(STRANGERS, [ROWS_AT_ONCE as i64]).map(|_| ())
}
