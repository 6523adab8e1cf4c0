//! A job that could not be run now waits again.

use super::{Lent, end::NotRunning, state};
use crate::{
    job_record::JobError,
    step::Step,
    store::tx::{Tx, integer},
};
use protocol::Timestamp;
use rusqlite::params;

/// What is said of the attempt that was not brought to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It was one.
    Tried,
    /// Nothing was tried, say because the engine is away: it does not count.
    Untried,
}

impl Lent<'_> {
    /// Queues a job of this process again, in its old place, to be begun at `held_until` at the earliest.
    /// One that was cancelled while it ran ends in place of it.
    pub async fn put_back(
        self,
        id: &str,
        attempt: PutBack,
        held_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotRunning> {
        const CANCELLED: &str = "UPDATE lent SET state = ?3, instance = 0, ended_at = ?4, bytes = 0, body = NULL, \
            error_type = ?5, error_message = ?6 WHERE id = ?1 AND state = 1 AND instance = ?2 AND cancel = 1";
        const BACK: &str = "UPDATE lent SET state = ?3, instance = 0, started_at = NULL, held_until = ?4, \
            attempts = attempts - ?5 WHERE id = ?1 AND state = 1 AND instance = ?2";
        let id = id.to_owned();
        let untried = i64::from(attempt == PutBack::Untried);
        let back = move |tx: &Tx<'_>| {
            let error = JobError::cancelled();
            let cancelled =
                params![id, tx.me(), state::FAILED, integer(now.as_millis()), error.kind, error.message];
            if tx.run(CANCELLED, cancelled)? == 1 {
                return Ok(Ok(()));
            }
            let back = params![id, tx.me(), state::QUEUED, integer(held_until.as_millis()), untried];
            Ok(if tx.run(BACK, back)? == 1 { Ok(()) } else { Err(NotRunning::NotHere) })
        };
        self.work.write(Step::LentBack, back).await
    }
}
