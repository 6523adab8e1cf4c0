//! Batches: one input file, an answer for each of its lines, two files at the end.
//!
//! A batch is created in one durable step (`validating`), read and queued line by line
//! ([`Batches::validate`]), run as tasks ([`crate::tasks`]) and written out when its last line is answered
//! ([`Batches::write`]). Each of the two long steps names the process that does it, may be done again from
//! its start after a crash, and ends in one transaction.
//!
//! What becomes of lines that were never answered is decided by the batch and not line by line: those of
//! an expired batch are written to the error file as `batch_expired`, of a cancelled one as
//! `batch_cancelled`, of one whose credits are spent with the scheduler's words. OpenAI's schema says
//! nothing of unanswered lines when a batch is cancelled; every line is in one of the two files, and
//! `request_counts` adds up: unanswered lines count as failed once the batch has ended.

mod ask;
pub mod check;
mod create;
mod lifecycle;
mod object;
mod output;
mod progress;
mod request;
mod row;
pub(crate) mod schema;
mod stop;
mod sweep;
mod validate;
mod window;
mod write;

pub use create::CreateError;
pub use lifecycle::{BatchStatus, Counts, Event, Lifecycle, NotNow, Times, Unfinished};
pub use object::{Batch, BatchErrors, BatchUsage, InputDetails, OutputDetails};
pub use progress::{Progress, WorkerProgress};
pub use request::{BadRequest, NewBatch};
pub(crate) use row::{Account, Row, load, save};
pub use stop::StopError;
pub(crate) use sweep::sweep;
pub use validate::{ValidateError, Validated};
pub use window::{BadWindow, CompletionWindow};
pub use write::WriteError;

use crate::handle::Work;

pub(crate) const ID_PREFIX: &str = "batch_";

/// The batches; see the module.
#[derive(Clone, Copy)]
pub struct Batches<'w> {
    work: &'w Work,
}

impl Work {
    /// One input file each, and an answer for every line.
    pub fn batches(&self) -> Batches<'_> {
        Batches { work: self }
    }
}
