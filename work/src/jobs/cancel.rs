//! Cancelling a job: it is over at once, and what runs of it is to be cancelled at its worker.

use super::Jobs;
use crate::{
    step::Step,
    store::{error::StoreError, tx::Tx},
    tasks::{self, JOBS, OpenLease, TaskId},
};
use protocol::Timestamp;

/// Why a job cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelJobError {
    /// 404
    #[error("there is no such job")]
    NotFound,
    /// 409 `not_cancellable`
    #[error("the job is over, there is nothing to cancel")]
    NotCancellable,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs<'_> {
    /// Cancels a job. Gives the leases that are to be cancelled at their workers, which
    /// [`tasks::Tasks::to_cancel`] lists too until they are closed.
    pub async fn cancel(self, id: &str, now: Timestamp) -> Result<Vec<OpenLease>, CancelJobError> {
        const FIND: &str = "SELECT line, ended FROM job WHERE id = ?1";
        let id = id.to_owned();
        let cancel = move |tx: &Tx<'_>| {
            let found = tx.one(FIND, [&id], |row| Ok((row.get(0)?, row.get::<_, bool>(1)?)))?;
            match found {
                None => Ok(Err(CancelJobError::NotFound)),
                Some((_, true)) => Ok(Err(CancelJobError::NotCancellable)),
                Some((line, false)) => {
                    let task = TaskId { batch: JOBS, line };
                    tasks::withdraw(tx, task, ("cancelled", "the job was cancelled"), now).map(Ok)
                }
            }
        };
        self.work.write(Step::JobCancelled, cancel).await
    }
}
