//! Tasks: requests that must each get exactly one good answer. A line of a batch is one, and so is a job of
//! `POST /v1/jobs` at the gateway.
//!
//! A scheduler asks what waits ([`Tasks::waiting`]), leases a task to a worker ([`Tasks::lease`]), sends the
//! request ([`Tasks::body`]) and closes the lease with what came of it ([`Tasks::close`]). A task waits, is
//! leased once (twice where it is hedged), or has ended; the first good answer ends it, and whatever comes
//! later is reported as late and only its credits are booked. Where a worker was not heard at the end of its lease,
//! what it may charge stays counted until that is known ([`Tasks::unheard`]). A lease with an order survives its process:
//! the next one adopts it ([`Tasks::adopt`]) and asks the worker by the order's id.

mod adopt;
mod body;
mod close;
mod decide;
mod lane;
mod lease;
mod open;
pub(crate) mod schema;
mod sweep;
mod turns;
mod unheard;
mod verdict;
mod waiting;
mod withdraw;

pub use body::BodyError;
pub use close::{CloseError, Closed};
pub(crate) use lane::{LaneError, lane};
pub use lease::{LeaseError, NewLease};
pub use open::OpenLease;
pub(crate) use schema::{NewTask, insert, state};
pub(crate) use sweep::{clear_batch, sweep};
pub use turns::in_turns;
pub use unheard::Unheard;
pub use verdict::{Charge, Cost, Response, TokenUsage, Verdict};
pub use waiting::{BatchTerms, WaitingTask, Wanted};
pub use withdraw::GiveUpError;
pub(crate) use withdraw::withdraw;

use crate::handle::Work;
use std::fmt;

/// The tasks; see the module.
#[derive(Clone, Copy)]
pub struct Tasks<'w> {
    work: &'w Work,
}

impl Work {
    /// What waits for an answer.
    pub fn tasks(&self) -> Tasks<'_> {
        Tasks { work: self }
    }
}

/// Jobs of the gateway are in no batch.
pub(crate) const JOBS: i64 = 0;

/// One task. Two tasks never have the same, not even when one of them is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    pub(crate) batch: i64,
    /// The line's number, or the job's.
    pub(crate) line: i64,
}

impl TaskId {
    /// The line of the input file, counted from 1; for a job a number of our own.
    pub fn line(self) -> u64 {
        self.line.unsigned_abs()
    }

    /// Whether it is a job and no line of a batch.
    pub fn is_job(self) -> bool {
        self.batch == JOBS
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.batch, self.line)
    }
}

/// One lease. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub(crate) i64);
