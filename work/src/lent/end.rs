//! How a job ends: done, cut, failed, cancelled; and what follows.

use super::{Lent, claim, state};
use crate::{
    job_record::JobError,
    json_line::JsonLine,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
};
use protocol::Timestamp;
use rusqlite::params;

/// What became of a job that ran.
#[derive(Clone, Debug)]
pub enum LentEnd {
    /// It has a result, and a receipt where it came with an order.
    Done {
        /// The engine's answer.
        result: JsonLine,
        /// `{"receipt","signature"}`; not yet in the ledger.
        receipt: Option<String>,
    },
    /// It was cancelled while it ran; the receipt is for what was made until then.
    Cut {
        /// As above.
        receipt: Option<String>,
    },
    /// Nobody owes for it.
    Failed(JobError),
}

/// Why an end is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotRunning {
    /// It does not run in this process.
    #[error("the job does not run here, its result is dropped")]
    NotHere,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What cancelling did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LentCancel {
    /// It waited, and is over.
    Cancelled,
    /// It runs: stop the engine and say [`LentEnd::Cut`]. [`Lent::to_cut`] lists it.
    Cutting,
}

/// Why a job cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelLentError {
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

impl Lent<'_> {
    /// Keeps how a job of this process ended. Claim its receipt in the ledger next, then call
    /// [`Lent::claimed`].
    pub async fn end(self, id: &str, end: LentEnd, now: Timestamp) -> Result<(), NotRunning> {
        const END: &str = "UPDATE lent SET state = ?3, ended_at = ?4, claim = ?5, bytes = ?6, error_type = ?7, \
            error_message = ?8, receipt = ?9, result = ?10, instance = 0, body = NULL \
            WHERE id = ?1 AND state = 1 AND instance = ?2";
        let id = id.to_owned();
        let keep = move |tx: &Tx<'_>| {
            let (state, error, receipt, result) = parts(&end);
            let due = if receipt.is_some() { claim::DUE } else { claim::NONE };
            let bytes = result.map_or(0, |result| result.as_str().len() as i64);
            let (kind, message) = (error.as_ref().map(|e| &e.kind), error.as_ref().map(|e| &e.message));
            let at = integer(now.as_millis());
            let result = result.map(JsonLine::as_str);
            let row = params![id, tx.me(), state, at, due, bytes, kind, message, receipt, result];
            Ok(if tx.run(END, row)? == 1 { Ok(()) } else { Err(NotRunning::NotHere) })
        };
        self.work.write(Step::LentDone, keep).await
    }

    /// The receipt of a job stands in the ledger.
    pub async fn claimed(self, id: &str) -> Result<(), StoreError> {
        const CLAIMED: &str = "UPDATE lent SET claim = ?2 WHERE id = ?1 AND claim = ?3";
        let id = id.to_owned();
        let mark = move |tx: &Tx<'_>| tx.run(CLAIMED, params![id, claim::MADE, claim::DUE]).map(|_| Ok(()));
        self.work.write(Step::LentClaimed, mark).await
    }

    /// The requester acknowledged the receipt, or took the result where there is none: the result goes;
    /// what became of the job can be polled for 30 days.
    pub async fn acknowledged(self, id: &str) -> Result<(), StoreError> {
        const FORGET: &str = "UPDATE lent SET bytes = 0, result = NULL, receipt = NULL, signed_order = NULL, \
            metadata = NULL WHERE id = ?1 AND state >= 2 AND claim <> 1";
        let id = id.to_owned();
        let forget = move |tx: &Tx<'_>| tx.run(FORGET, [&id]).map(|_| Ok(()));
        self.work.write(Step::LentAcknowledged, forget).await
    }

    /// The same of the jobs whose orders have these hashes; those that are no jobs' are passed over.
    pub async fn acknowledged_orders(self, orders: Vec<[u8; 32]>) -> Result<(), StoreError> {
        const FORGET: &str = "UPDATE lent SET bytes = 0, result = NULL, receipt = NULL, signed_order = NULL, \
            metadata = NULL WHERE order_sha256 = ?1 AND state >= 2 AND claim <> 1";
        let forget = move |tx: &Tx<'_>| {
            orders.iter().try_for_each(|order| tx.run(FORGET, [order]).map(|_| ()))?;
            Ok(Ok(()))
        };
        self.work.write(Step::LentAcknowledged, forget).await
    }

    /// Cancels what waits; marks what runs for cutting. Twice is the same as once.
    pub async fn cancel(self, id: &str, now: Timestamp) -> Result<LentCancel, CancelLentError> {
        let id = id.to_owned();
        let cancel = move |tx: &Tx<'_>| cancel(tx, &id, now);
        self.work.write(Step::LentCancelled, cancel).await
    }
}

type Parts<'e> = (i64, Option<JobError>, Option<&'e String>, Option<&'e JsonLine>);

fn parts(end: &LentEnd) -> Parts<'_> {
    match end {
        LentEnd::Done { result, receipt } => (state::DONE, None, receipt.as_ref(), Some(result)),
        LentEnd::Cut { receipt } => (state::FAILED, Some(JobError::cancelled()), receipt.as_ref(), None),
        LentEnd::Failed(error) => (state::FAILED, Some(error.clone()), None, None),
    }
}

fn cancel(tx: &Tx<'_>, id: &str, now: Timestamp) -> rusqlite::Result<Result<LentCancel, CancelLentError>> {
    const STATE: &str = "SELECT state FROM lent WHERE id = ?1";
    const WAITED: &str = "UPDATE lent SET state = ?2, ended_at = ?3, bytes = 0, body = NULL, error_type = ?4, \
        error_message = ?5 WHERE id = ?1";
    const RUNS: &str = "UPDATE lent SET cancel = 1 WHERE id = ?1";
    let Some(state) = tx.one(STATE, [id], |row| row.get::<_, i64>(0))? else {
        return Ok(Err(CancelLentError::NotFound));
    };
    Ok(match state {
        state::QUEUED => {
            let error = JobError::cancelled();
            let at = integer(now.as_millis());
            tx.run(WAITED, params![id, state::FAILED, at, error.kind, error.message])?;
            Ok(LentCancel::Cancelled)
        }
        state::RUNNING => {
            tx.run(RUNS, [id])?;
            Ok(LentCancel::Cutting)
        }
        _ => Err(CancelLentError::NotCancellable),
    })
}
