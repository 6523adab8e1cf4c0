//! Closing a lease: the books of its batch, its worker's, and its task; one transaction.

use super::{
    JOBS, LaneError, LeaseId, TaskId, Tasks,
    decide::{Effect, Standing, decide, is_good},
    lane::shortened,
    open::{COLUMNS, OpenLease, read},
    state, unheard,
    verdict::{Charge, Cost, Verdict},
};
use crate::{
    batches::{self, Event},
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
};
use protocol::Timestamp;
use rusqlite::params;

/// What closing a lease did to its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It has its answer. Its twin, if it has one, is to be cancelled at its worker.
    Answered {
        /// The twin.
        losers: Vec<OpenLease>,
    },
    /// It will have no good one.
    Failed,
    /// It waits again.
    Waiting,
    /// It still runs at another worker.
    LeftToTwin,
    /// It had ended before; what this cost is booked.
    Late,
}

/// Why a lease is not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// It was closed before, or lapsed: nobody owes for what comes now.
    #[error("the lease is not open any more, nothing is owed for it")]
    NotOpen,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tasks<'_> {
    /// Closes a lease with what came of it and what that cost. Durable when it resolves.
    pub async fn close(
        self,
        lease: LeaseId,
        verdict: Verdict,
        charge: Charge,
        now: Timestamp,
    ) -> Result<Closed, CloseError> {
        let close = move |tx: &Tx<'_>| {
            let sql = format!("SELECT {COLUMNS} FROM lease WHERE id = ?1");
            let Some(lease) = tx.one(&sql, [lease.0], read)? else { return Ok(Err(CloseError::NotOpen)) };
            close(tx, &lease, &verdict, charge, now).map(Ok)
        };
        self.work.write(Step::LeaseClosed, close).await
    }
}

/// A task beside its lease.
struct Found {
    lane: i64,
    state: i64,
}

/// Closes a lease that is open.
pub(super) fn close(
    tx: &Tx<'_>,
    lease: &OpenLease,
    verdict: &Verdict,
    charge: Charge,
    now: Timestamp,
) -> rusqlite::Result<Closed> {
    const FIND: &str = "SELECT lane, state FROM task WHERE batch = ?1 AND line = ?2";
    const TWINS: &str = "SELECT count(*) FROM lease WHERE batch = ?1 AND line = ?2";
    let TaskId { batch, line } = lease.task;
    // Read before its row goes.
    let warm = tx.number("SELECT warm FROM lease WHERE id = ?1", [lease.id.0])?;
    tx.run("DELETE FROM lease WHERE id = ?1", [lease.id.0])?;
    let mut row = if batch == JOBS { None } else { batches::load(tx, batches::Row::BY_SEQ, [batch])? };
    let task = tx.one(FIND, [batch, line], |row| Ok(Found { lane: row.get(0)?, state: row.get(1)? }))?;
    let standing = Standing {
        ended: task.as_ref().is_none_or(|task| task.state >= state::DONE),
        wanted: row.as_ref().is_none_or(|row| row.life.takes_answers()),
        twins: tx.number(TWINS, [batch, line])?,
    };
    let effect = decide(standing, verdict);
    let lane = task.map_or(0, |task| task.lane);
    let (closed, event) = take_effect(tx, lease, lane, verdict, effect, now)?;
    if let Some(row) = &mut row {
        match charge.cost {
            Cost::Unheard if lease.order_id.is_some() => row.account.keep(lease.reserved),
            cost => row.account.settle(lease.reserved, cost.charged()),
        }
        if effect == Effect::Complete {
            row.count(charge.usage);
        }
        // Both belong to every state that an effect other than `Late` leaves the batch in.
        let _ = event.map(|event| row.life.on(event, now));
        let _ = row.life.on(Event::Released, now);
        batches::save(tx, row, now)?;
    }
    if let (Cost::Unheard, Some(order)) = (charge.cost, &lease.order_id) {
        unheard::keep(tx, lease, order, verdict, now)?;
    }
    serve(tx, lease, warm, effect, charge)?;
    Ok(closed)
}

fn take_effect(
    tx: &Tx<'_>,
    lease: &OpenLease,
    lane: i64,
    verdict: &Verdict,
    effect: Effect,
    now: Timestamp,
) -> rusqlite::Result<(Closed, Option<Event>)> {
    Ok(match effect {
        Effect::Late => (Closed::Late, None),
        Effect::LeaveToTwin => {
            note_failure(tx, lease.task, verdict)?;
            (Closed::LeftToTwin, None)
        }
        Effect::Complete => {
            end(tx, lease.task, verdict, now)?;
            (Closed::Answered { losers: lose(tx, lease.task)? }, Some(Event::Completed))
        }
        Effect::Fail => {
            end(tx, lease.task, verdict, now)?;
            (Closed::Failed, Some(Event::Failed(1)))
        }
        Effect::Wait(not_before) => match LaneError::of(tx, lane)? {
            // Its model was given up while it ran; all that waited has failed.
            Some(LaneError { code, message }) => {
                end(tx, lease.task, &Verdict::Failed { code, message }, now)?;
                (Closed::Failed, Some(Event::Failed(1)))
            }
            None => {
                note_failure(tx, lease.task, verdict)?;
                wait(tx, lease.task, not_before)?;
                (Closed::Waiting, None)
            }
        },
    })
}

fn wait(tx: &Tx<'_>, task: TaskId, not_before: Timestamp) -> rusqlite::Result<()> {
    const WAIT: &str = "UPDATE task SET state = ?3, not_before = ?4 WHERE batch = ?1 AND line = ?2";
    let row = params![task.batch, task.line, state::WAITING, integer(not_before.as_millis())];
    tx.run(WAIT, row).map(|_| ())
}

/// What went wrong at a worker; being cancelled is none of its failures.
fn note_failure(tx: &Tx<'_>, task: TaskId, verdict: &Verdict) -> rusqlite::Result<()> {
    const NOTE: &str =
        "UPDATE task SET attempts = attempts + 1, last_error = ?3 WHERE batch = ?1 AND line = ?2";
    let error = match verdict {
        Verdict::Cut => return Ok(()),
        Verdict::Answered(response) => format!("status {}", response.status),
        Verdict::Retry { error, .. } => shortened(error),
        Verdict::Failed { message, .. } => shortened(message),
    };
    tx.run(NOTE, params![task.batch, task.line, error]).map(|_| ())
}

/// The task has ended: keeps its outcome.
pub(super) fn end(tx: &Tx<'_>, task: TaskId, verdict: &Verdict, now: Timestamp) -> rusqlite::Result<()> {
    const KEEP: &str = "INSERT INTO outcome (batch, line, status, request_id, code, message, body) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    const END: &str = "UPDATE task SET state = ?3 WHERE batch = ?1 AND line = ?2";
    const END_JOB: &str = "UPDATE job SET ended = 1, ended_at = ?2, bytes = 0, body = NULL WHERE line = ?1";
    let TaskId { batch, line } = task;
    match verdict {
        Verdict::Answered(response) => {
            let (request, body) = (&response.request_id, response.body.as_str());
            tx.run(KEEP, params![batch, line, response.status, request, None::<&str>, None::<&str>, body])?;
        }
        Verdict::Failed { code, message } => {
            let error = (shortened(code), shortened(message));
            tx.run(KEEP, params![batch, line, None::<i64>, None::<&str>, error.0, error.1, None::<&str>])?;
        }
        Verdict::Retry { .. } | Verdict::Cut => return Ok(()),
    }
    let to = if is_good(verdict) { state::DONE } else { state::FAILED };
    tx.run(END, params![batch, line, to])?;
    if batch == JOBS {
        tx.run(END_JOB, params![line, integer(now.as_millis())])?;
    }
    Ok(())
}

/// What still runs of a task that has ended is to be cancelled.
pub(super) fn lose(tx: &Tx<'_>, task: TaskId) -> rusqlite::Result<Vec<OpenLease>> {
    const LOSE: &str = "UPDATE lease SET losing = 1 WHERE batch = ?1 AND line = ?2";
    let row = [task.batch, task.line];
    if tx.run(LOSE, row)? == 0 {
        return Ok(Vec::new());
    }
    tx.all(&format!("SELECT {COLUMNS} FROM lease WHERE batch = ?1 AND line = ?2"), row, read)
}

/// What the worker did, for the owner's picture of a batch.
fn serve(tx: &Tx<'_>, lease: &OpenLease, warm: u64, effect: Effect, charge: Charge) -> rusqlite::Result<()> {
    const SERVE: &str = "INSERT INTO served VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET \
        answered = answered + ?3, failed = failed + ?4, warm = warm + ?5, input_tokens = input_tokens + ?6, \
        output_tokens = output_tokens + ?7, credits = credits + ?8, unused = unused + ?9";
    let answered = effect == Effect::Complete;
    let failed = !answered && effect != Effect::Late;
    let unused = if answered { 0 } else { charge.cost.charged().get() };
    let row = params![
        lease.task.batch,
        lease.worker,
        answered,
        failed,
        integer(warm * u64::from(answered)),
        integer(charge.usage.input),
        integer(charge.usage.output),
        integer(charge.cost.charged().get()),
        integer(unused),
    ];
    tx.run(SERVE, row).map(|_| ())
}
