//! How a batch ends before all its lines are answered: cancelled, out of credits, out of time.

use super::{
    Batch, Batches, ask,
    lifecycle::{Event, NotNow},
    row::{Row, load, save},
};
use crate::{
    limits::ROWS_AT_ONCE,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
};
use protocol::{Credits, Timestamp};
use rusqlite::params;

/// Why a batch is not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// 404
    #[error("there is no such batch")]
    NotFound,
    /// 409 `not_cancellable`
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Batches<'_> {
    /// Its owner wants it to end: nothing of it is leased any more, what runs is listed by
    /// [`crate::tasks::Tasks::to_cancel`], and when nothing runs its files are written. Twice is once.
    pub async fn cancel(self, id: &str, now: Timestamp) -> Result<Batch, StopError> {
        let id = id.to_owned();
        self.work.write(Step::BatchCancelled, move |tx: &Tx<'_>| on(tx, &id, Event::Cancel, now)).await
    }

    /// Lines that wait get this error, code and message; those that run may still be answered. `left` of the
    /// budget pays for no line any more (`max_credits_reached`): `None`, and nothing is done, where more is left
    /// by now, since what ran has ended.
    pub async fn stop(
        self,
        id: &str,
        left: Credits,
        (code, message): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<Batch>, StopError> {
        let (id, code, message) = (id.to_owned(), code.to_owned(), message.to_owned());
        let stop = move |tx: &Tx<'_>| {
            let row = load(tx, Row::BY_ID, [&id])?;
            if row.and_then(|row| row.account.left()).is_some_and(|by_now| by_now > left) {
                return Ok(Ok(None));
            }
            let event = Event::Stop { code: code.clone(), message: message.clone() };
            Ok(on(tx, &id, event, now)?.map(Some))
        };
        self.work.write(Step::BatchStopped, stop).await
    }

    /// Ends the batches whose completion window is over; gives how many. What runs of them is to be
    /// cancelled; what had its answer by then counts.
    pub async fn expire(self, now: Timestamp) -> Result<usize, StoreError> {
        const OVER: &str = "SELECT seq FROM batch WHERE status = 3 AND expires_at <= ?1 LIMIT ?2";
        const LOSE: &str = "UPDATE lease SET losing = 1 WHERE batch = ?1";
        let expire = move |tx: &Tx<'_>| {
            let wanted = params![integer(now.as_millis()), ROWS_AT_ONCE as i64];
            let over: Vec<i64> = tx.all(OVER, wanted, |row| row.get(0))?;
            for seq in &over {
                let Some(mut row) = load(tx, Row::BY_SEQ, [seq])? else { continue };
                if row.life.on(Event::Expire, now).is_ok() {
                    tx.run(LOSE, [seq])?;
                    save(tx, &row, now)?;
                }
            }
            Ok(Ok(over.len()))
        };
        self.work.write(Step::BatchStopped, expire).await
    }
}

fn on(tx: &Tx<'_>, id: &str, event: Event, now: Timestamp) -> rusqlite::Result<Result<Batch, StopError>> {
    let Some(mut row) = load(tx, Row::BY_ID, [id])? else { return Ok(Err(StopError::NotFound)) };
    if let Err(not_now) = row.life.on(event, now) {
        return Ok(Err(not_now.into()));
    }
    save(tx, &row, now)?;
    Ok(ask::one(tx, id)?.ok_or(StopError::NotFound))
}
