//! Which job is run next.

use super::{Lent, LentJob, Whose, key_from, state};
use crate::{
    endpoint::Endpoint,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, damaged, integer, moment},
    },
};
use protocol::Timestamp;
use rusqlite::{Row, params};

const COLUMNS: &str = "id, own, requester, signed_order, answer_by, model, body, attempts, endpoint";

impl Lent<'_> {
    /// Begins the job whose turn it is; `None` if none waits. It runs in this process until it is
    /// ended, or the process dies. What may no longer be answered is dropped unrun.
    pub async fn next(self, now: Timestamp) -> Result<Option<LentJob>, StoreError> {
        let begin = move |tx: &Tx<'_>| {
            drop_late(tx, now)?;
            let Some(seq) = whose_turn(tx, now)? else { return Ok(Ok(None)) };
            run(tx, seq, now).map(Ok)
        };
        self.work.write(Step::LentBegun, begin).await
    }
}

fn whose_turn(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<Option<i64>> {
    const OWN: &str = "SELECT min(seq) FROM lent WHERE state = 0 AND own = 1 AND held_until <= ?1";
    const OTHERS: &str = "SELECT oldest, requester FROM (SELECT requester, min(seq) AS oldest FROM lent \
        WHERE state = 0 AND own = 0 AND held_until <= ?1 GROUP BY requester) \
        LEFT JOIN borrower USING (requester) ORDER BY coalesce(turn, 0), oldest LIMIT 1";
    const SERVED: &str =
        "INSERT INTO borrower VALUES (?1, ?2) ON CONFLICT (requester) DO UPDATE SET turn = excluded.turn";
    let now = integer(now.as_millis());
    if let Some(own) = tx.one(OWN, [now], |row| row.get::<_, Option<i64>>(0))?.flatten() {
        return Ok(Some(own));
    }
    let other = tx.one(OTHERS, [now], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let Some((oldest, requester)) = other else { return Ok(None) };
    tx.run(SERVED, params![requester, tx.turn()?])?;
    Ok(Some(oldest))
}

fn run(tx: &Tx<'_>, seq: i64, now: Timestamp) -> rusqlite::Result<Option<LentJob>> {
    const RUN: &str = "UPDATE lent SET state = ?2, instance = ?3, started_at = ?4, attempts = attempts + 1 \
        WHERE seq = ?1";
    tx.run(RUN, params![seq, state::RUNNING, tx.me(), integer(now.as_millis())])?;
    tx.one(&format!("SELECT {COLUMNS} FROM lent WHERE seq = ?1"), [seq], job)
}

/// What waits and may no longer be answered has ended.
pub(super) fn drop_late(tx: &Tx<'_>, now: Timestamp) -> rusqlite::Result<()> {
    const LATE: &str = "UPDATE lent SET state = ?2, ended_at = ?1, bytes = 0, body = NULL, \
        error_type = 'expired', error_message = 'its order wanted an answer before its turn came' \
        WHERE state = 0 AND answer_by IS NOT NULL AND answer_by <= ?1";
    tx.run(LATE, params![integer(now.as_millis()), state::FAILED]).map(|_| ())
}

fn job(row: &Row<'_>) -> rusqlite::Result<LentJob> {
    let own: bool = row.get(1)?;
    let requester = key_from(row.get_ref(2)?.as_bytes()?);
    let model: String = row.get(5)?;
    Ok(LentJob {
        id: row.get(0)?,
        whose: if own { Whose::Own } else { Whose::Other(requester) },
        order: row.get(3)?,
        answer_by: moment(row, 4)?,
        model: model.parse().map_err(|_| damaged(5))?,
        body: row.get(6)?,
        attempts: row.get(7)?,
        endpoint: Endpoint::from_code(row.get(8)?).ok_or_else(|| damaged(8))?,
    })
}
