//! Reading a batch's lines: each good one is queued, and when all are good the batch runs.
//!
//! Lines are queued some at a time, where nobody sees them yet; the last transaction makes them all wait,
//! or fails the batch. A crash in between leaves the batch `validating`, and what was queued is removed
//! before it is read again.

use super::{
    Batches,
    check::{CheckedLine, Checker, Problem, Report},
    lifecycle::{BatchStatus, Event},
    row::{Row, load, save},
};
use crate::{
    endpoint::Endpoint,
    files::path_of,
    keeping::Kept,
    limits::{LISTED_MAX, ROWS_AT_ONCE},
    step::Step,
    store::{
        error::StoreError,
        instance::NOBODY,
        tx::{Tx, damaged},
    },
    tasks::{self, NewTask, TaskId},
};
use protocol::Timestamp;
use rusqlite::params;
use std::{io, sync::Arc};
use tokio::{fs, io::AsyncReadExt};

const CHUNK_BYTES: usize = 64 * 1024;

/// What became of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validated {
    /// It runs.
    Began,
    /// Its file has problems, which it lists.
    Failed,
}

/// Why a batch's lines are not read.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// It is not, or no longer, `validating`: another did it, or it was cancelled.
    #[error("the batch is not being validated, there is nothing to read")]
    NotValidating,
    /// This process or another is at it.
    #[error("the batch is being validated already, wait for that")]
    Busy,
    /// Nothing more was kept; to be done again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A batch that this process validates.
struct Claimed {
    seq: i64,
    endpoint: Endpoint,
    input_file: String,
    _kept: Kept,
}

impl Batches<'_> {
    /// Reads the lines of a batch; takes some seconds for 50,000. To be called after [`Batches::create`],
    /// and for [`Batches::to_validate`] after a start. Dropped, it can be done again.
    pub async fn validate(self, id: &str, now: Timestamp) -> Result<Validated, ValidateError> {
        let claimed = self.claim(id).await?;
        while !self.clear(claimed.seq).await? {}
        let report = match self.read_lines(&claimed).await {
            Err(Stopped::Missing) => {
                let gone = "the bytes of the input file are gone from the disk, upload it again";
                Report { lines: 0, model: None, problems: vec![Problem::of_file("invalid_file", gone)] }
            }
            Err(Stopped::Validate(error)) => return Err(error),
            Ok(report) => report,
        };
        self.conclude(claimed.seq, report, now).await
    }

    async fn claim(self, id: &str) -> Result<Claimed, ValidateError> {
        const FIND: &str = "SELECT seq, status, keeper, endpoint, input_file FROM batch WHERE id = ?1";
        let kept = self.work.batches_kept().begin(id, LISTED_MAX).ok_or(ValidateError::Busy)?;
        let id = id.to_owned();
        let claim = move |tx: &Tx<'_>| {
            let found = tx.one(FIND, [&id], |row| {
                let endpoint = Endpoint::from_code(row.get(3)?).ok_or_else(|| damaged(3))?;
                let (status, keeper): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok((row.get(0)?, status, keeper, endpoint, row.get(4)?))
            })?;
            Ok(match found {
                Some((_, status, ..)) if status != BatchStatus::Validating.code() => {
                    Err(ValidateError::NotValidating)
                }
                Some((_, _, keeper, ..)) if keeper != NOBODY && keeper != tx.me() => Err(ValidateError::Busy),
                Some((seq, _, _, endpoint, input_file)) => {
                    tx.run("UPDATE batch SET keeper = ?2 WHERE seq = ?1", [seq, tx.me()])?;
                    Ok((seq, endpoint, input_file))
                }
                None => Err(ValidateError::NotValidating),
            })
        };
        let (seq, endpoint, input_file) = self.work.write(Step::LinesQueued, claim).await?;
        Ok(Claimed { seq, endpoint, input_file, _kept: kept })
    }

    /// Removes what an earlier try has queued.
    async fn clear(self, seq: i64) -> Result<bool, StoreError> {
        self.work.write(Step::LinesQueued, move |tx: &Tx<'_>| tasks::clear_batch(tx, seq).map(Ok)).await
    }

    async fn read_lines(self, batch: &Claimed) -> Result<Report, Stopped> {
        let path = path_of(self.work.files_folder(), &batch.input_file);
        let mut file = fs::File::open(path).await?;
        let mut checker = Checker::new(Some(batch.endpoint));
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut lines = Vec::new();
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                break;
            }
            checker.push(chunk.get(..read).unwrap_or_default(), |line| lines.push(line));
            if !checker.is_good() {
                lines.clear();
            }
            if lines.len() >= ROWS_AT_ONCE {
                self.queue(batch.seq, std::mem::take(&mut lines)).await?;
            }
        }
        let report = checker.finish(|line| lines.push(line));
        if report.problems.is_empty() {
            self.queue(batch.seq, lines).await?;
        }
        Ok(report)
    }

    async fn queue(self, seq: i64, lines: Vec<CheckedLine>) -> Result<(), ValidateError> {
        let lines = Arc::new(lines);
        let queue = move |tx: &Tx<'_>| {
            if !is_mine(tx, seq)? {
                return Ok(Err(ValidateError::NotValidating));
            }
            lines.iter().try_for_each(|line| insert(tx, seq, line)).map(Ok)
        };
        self.work.write(Step::LinesQueued, queue).await
    }

    async fn conclude(self, seq: i64, report: Report, now: Timestamp) -> Result<Validated, ValidateError> {
        const NOTE: &str = "UPDATE batch SET keeper = 0, model = ?2, errors = ?3 WHERE seq = ?1";
        let conclude = move |tx: &Tx<'_>| {
            let Some(mut row) = load(tx, Row::BY_SEQ, [seq])? else {
                return Ok(Err(ValidateError::NotValidating));
            };
            let good = report.problems.is_empty();
            let event = if good { Event::Began { lines: report.lines } } else { Event::Refused };
            if !is_mine(tx, seq)? || row.life.on(event, now).is_err() {
                return Ok(Err(ValidateError::NotValidating));
            }
            let errors = (!good).then(|| serde_json::to_string(&report.problems).unwrap_or_default());
            let model = report.model.as_ref().map(|model| model.as_str());
            tx.run(NOTE, params![seq, model, errors])?;
            save(tx, &row, now)?;
            Ok(Ok(if good { Validated::Began } else { Validated::Failed }))
        };
        self.work.write(Step::BatchValidated, conclude).await
    }
}

/// Why the reading ended early.
enum Stopped {
    Missing,
    Validate(ValidateError),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Validate(StoreError::from(error).into()),
        }
    }
}

impl From<ValidateError> for Stopped {
    fn from(error: ValidateError) -> Self {
        Self::Validate(error)
    }
}

fn is_mine(tx: &Tx<'_>, seq: i64) -> rusqlite::Result<bool> {
    const MINE: &str = "SELECT 1 FROM batch WHERE seq = ?1 AND keeper = ?2 AND status = ?3";
    let wanted = [seq, tx.me(), BatchStatus::Validating.code()];
    Ok(tx.one(MINE, wanted, |_| Ok(()))?.is_some())
}

fn insert(tx: &Tx<'_>, batch: i64, line: &CheckedLine) -> rusqlite::Result<()> {
    let task = NewTask {
        id: TaskId { batch, line: line.number.cast_signed() },
        lane: tasks::lane(tx, batch, line.endpoint, &line.model)?,
        opening: line.opening.0,
        start: line.offset,
        bytes: line.length,
        custom_id: Some(line.custom_id.clone()),
    };
    tasks::insert(tx, &task)
}
