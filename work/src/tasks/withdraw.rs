//! Ending a task from outside: it was cancelled, or cannot be sent to anybody.

use super::{
    JOBS, OpenLease, TaskId, Tasks,
    close::{end, lose},
    schema::state,
    verdict::Verdict,
};
use crate::{
    batches::{self, Event},
    step::Step,
    store::{error::StoreError, tx::Tx},
};
use protocol::Timestamp;

/// Why a task is not given up.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// It runs or has ended.
    #[error("the task does not wait, so there is nothing to give up")]
    NotWaiting,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tasks<'_> {
    /// Fails a task that waits: nobody can be asked for it.
    pub async fn give_up(
        self,
        task: TaskId,
        (code, message): (&str, &str),
        now: Timestamp,
    ) -> Result<(), GiveUpError> {
        let (code, message) = (code.to_owned(), message.to_owned());
        let give_up = move |tx: &Tx<'_>| {
            if state_of(tx, task)? != Some(state::WAITING) {
                return Ok(Err(GiveUpError::NotWaiting));
            }
            if task.batch != JOBS {
                let row = batches::load(tx, batches::Row::BY_SEQ, [task.batch])?;
                let Some(mut row) = row else { return Ok(Err(GiveUpError::NotWaiting)) };
                if row.life.on(Event::Failed(1), now).is_err() {
                    return Ok(Err(GiveUpError::NotWaiting));
                }
                batches::save(tx, &row, now)?;
            }
            withdraw(tx, task, (&code, &message), now).map(|_| Ok(()))
        };
        self.work.write(Step::LeaseClosed, give_up).await
    }
}

fn state_of(tx: &Tx<'_>, task: TaskId) -> rusqlite::Result<Option<i64>> {
    // A task whose lane has failed was counted with it.
    const STATE: &str = "SELECT state FROM task JOIN lane ON lane.id = task.lane AND code IS NULL \
        WHERE task.batch = ?1 AND line = ?2";
    tx.one(STATE, [task.batch, task.line], |row| row.get(0))
}

/// Ends a task that has not ended, whether it waits or runs. Gives what is to be cancelled of it.
pub(crate) fn withdraw(
    tx: &Tx<'_>,
    task: TaskId,
    (code, message): (&str, &str),
    now: Timestamp,
) -> rusqlite::Result<Vec<OpenLease>> {
    let verdict = Verdict::Failed { code: code.to_owned(), message: message.to_owned() };
    end(tx, task, &verdict, now)?;
    lose(tx, task)
}
