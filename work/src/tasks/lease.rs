//! Leasing: a task, a worker, an order, and what it may cost; one transaction.

use super::{JOBS, LeaseId, TaskId, Tasks, state};
use crate::{
    batches::{self, Event},
    limits::{LEASES_A_TASK_MAX, NAME_BYTES_MAX},
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
};
use protocol::{Credits, Timestamp};
use rusqlite::params;

/// A lease to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLease {
    /// Of which task.
    pub task: TaskId,
    /// `lob1…`, `local` or an upstream's name.
    pub worker: String,
    /// The order that the worker gets, so that the answer is found after a crash; without one the task
    /// waits again when this process dies.
    pub order_id: Option<String>,
    /// What the order allows the worker to charge.
    pub reserved: Credits,
    /// The order's `answerBy`: what comes later is nobody's debt. Then the lease lapses.
    pub answer_by: Option<Timestamp>,
    /// The worker was taken because it saw this opening before. Only counted.
    pub warm: bool,
    /// A second try of a task that runs at another worker, if its batch allows that.
    pub hedge: bool,
}

/// Why a task is not leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It runs, has ended, may not be hedged, or its batch does not run.
    #[error("the task is not to be leased now, take another")]
    NotWaiting,
    /// Its batch may not spend that.
    #[error("the batch may spend {left} more, and this may cost more than that")]
    OverBudget {
        /// What is left, which is more when open leases cost less than reserved.
        left: Credits,
    },
    /// A lease has this order.
    #[error("another lease has this order, sign a new one")]
    OrderUsed,
    /// The worker's name, or the order's, is empty or too long.
    #[error("names have 1 to {NAME_BYTES_MAX} bytes")]
    BadName,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tasks<'_> {
    /// Leases a task; durable when it resolves, so send the order after that.
    pub async fn lease(self, lease: NewLease, now: Timestamp) -> Result<LeaseId, LeaseError> {
        let names = [Some(&lease.worker), lease.order_id.as_ref()];
        if !names.iter().flatten().all(|name| (1..=NAME_BYTES_MAX).contains(&name.len())) {
            return Err(LeaseError::BadName);
        }
        self.work.write(Step::TaskLeased, move |tx| open(tx, &lease, now)).await
    }
}

fn open(tx: &Tx<'_>, lease: &NewLease, now: Timestamp) -> rusqlite::Result<Result<LeaseId, LeaseError>> {
    const USED: &str = "SELECT 1 FROM lease WHERE order_id = ?1";
    if let Some(order) = &lease.order_id
        && tx.one(USED, [order], |_| Ok(()))?.is_some()
    {
        return Ok(Err(LeaseError::OrderUsed));
    }
    let is_free = if lease.hedge { may_be_hedged(tx, lease)? } else { waits(tx, lease.task)? };
    if !is_free {
        return Ok(Err(LeaseError::NotWaiting));
    }
    if lease.task.batch == JOBS {
        begin_job(tx, lease.task, now)?;
    } else if let Err(refused) = charge_batch(tx, lease, now)? {
        return Ok(Err(refused));
    }
    insert(tx, lease, now).map(Ok)
}

fn waits(tx: &Tx<'_>, task: TaskId) -> rusqlite::Result<bool> {
    const WAITS: &str = "SELECT state = ?3 AND NOT EXISTS \
        (SELECT 1 FROM lane WHERE lane.id = task.lane AND code IS NOT NULL) \
        FROM task WHERE batch = ?1 AND line = ?2";
    let row = params![task.batch, task.line, state::WAITING];
    Ok(tx.one(WAITS, row, |row| row.get(0))?.unwrap_or(false))
}

/// It runs at one other worker and nowhere else.
fn may_be_hedged(tx: &Tx<'_>, lease: &NewLease) -> rusqlite::Result<bool> {
    const RUNS: &str = "SELECT state FROM task WHERE batch = ?1 AND line = ?2";
    const LEASES: &str = "SELECT worker FROM lease WHERE batch = ?1 AND line = ?2";
    let TaskId { batch, line } = lease.task;
    let runs = tx.one(RUNS, [batch, line], |row| row.get(0))? == Some(state::LEASED);
    let workers: Vec<String> = tx.all(LEASES, [batch, line], |row| row.get(0))?;
    Ok(runs && workers.len() < LEASES_A_TASK_MAX && !workers.contains(&lease.worker))
}

fn begin_job(tx: &Tx<'_>, task: TaskId, now: Timestamp) -> rusqlite::Result<()> {
    const TURN: &str = "UPDATE clock SET jobs = ?1";
    const BEGUN: &str = "UPDATE job SET started_at = coalesce(started_at, ?2) WHERE line = ?1";
    tx.run(TURN, [tx.turn()?])?;
    tx.run(BEGUN, params![task.line, integer(now.as_millis())]).map(|_| ())
}

fn charge_batch(tx: &Tx<'_>, lease: &NewLease, now: Timestamp) -> rusqlite::Result<Result<(), LeaseError>> {
    let found = batches::load(tx, batches::Row::BY_SEQ, [lease.task.batch])?;
    let Some(mut row) = found.filter(|row| !lease.hedge || row.hedge) else {
        return Ok(Err(LeaseError::NotWaiting));
    };
    if row.life.on(Event::Leased, now).is_err() {
        return Ok(Err(LeaseError::NotWaiting));
    }
    if let Err(left) = row.account.reserve(lease.reserved) {
        return Ok(Err(LeaseError::OverBudget { left }));
    }
    row.turn = tx.turn()?;
    batches::save(tx, &row, now).map(Ok)
}

fn insert(tx: &Tx<'_>, lease: &NewLease, now: Timestamp) -> rusqlite::Result<LeaseId> {
    const INSERT: &str = "INSERT INTO lease (batch, line, instance, reserved, warm, hedge, leased_at, answer_by, \
        worker, order_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    const RUNS: &str = "UPDATE task SET state = ?3 WHERE batch = ?1 AND line = ?2";
    let TaskId { batch, line } = lease.task;
    let row = params![
        batch,
        line,
        tx.me(),
        integer(lease.reserved.get()),
        lease.warm,
        lease.hedge,
        integer(now.as_millis()),
        lease.answer_by.map(|at| integer(at.as_millis())),
        lease.worker,
        lease.order_id,
    ];
    tx.run(INSERT, row)?;
    let id = LeaseId(tx.inserted());
    tx.run(RUNS, params![batch, line, state::LEASED])?;
    Ok(id)
}
