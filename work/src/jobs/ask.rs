//! What polling a job says.

use super::Jobs;
use crate::{
    job_record::{JobError, JobRecord, JobStatus, raw},
    metadata::Metadata,
    store::{
        error::StoreError,
        tx::{damaged, moment, natural},
    },
    tasks::{JOBS, TaskId, state},
};
use protocol::Timestamp;
use rusqlite::Row;

impl Jobs<'_> {
    /// A job by its id. `None` if it is not known, or was forgotten.
    pub async fn get(self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        const GET: &str = "SELECT job.id, state, created_at, started_at, ended_at, metadata, outcome.status, \
            outcome.body, code, message FROM job JOIN task ON task.batch = 0 AND task.line = job.line \
            LEFT JOIN outcome ON outcome.batch = 0 AND outcome.line = job.line WHERE job.id = ?1";
        let id = id.to_owned();
        self.work.read(move |view| view.one(GET, [id], record)).await
    }

    /// The task of a job: a scheduler knows tasks, a tool knows ids.
    pub async fn task_of(self, id: &str) -> Result<Option<TaskId>, StoreError> {
        const LINE: &str = "SELECT line FROM job WHERE id = ?1";
        let id = id.to_owned();
        let read = |row: &Row<'_>| Ok(TaskId { batch: JOBS, line: row.get(0)? });
        self.work.read(move |view| view.one(LINE, [id], read)).await
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let status = match row.get(1)? {
        state::WAITING => JobStatus::Queued,
        state::LEASED => JobStatus::Running,
        state::DONE => JobStatus::Done,
        state::FAILED => JobStatus::Error,
        _ => return Err(damaged(1)),
    };
    let (code, message): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    let http: Option<u16> = row.get(6)?;
    let body: Option<String> = row.get(7)?;
    let error = match (status, code, http) {
        (JobStatus::Error, Some(kind), _) => Some(JobError { kind, message: message.unwrap_or_default() }),
        (JobStatus::Error, None, Some(http)) => Some(refused(http, body.as_deref().unwrap_or_default())),
        _ => None,
    };
    Ok(JobRecord {
        job_id: row.get(0)?,
        status,
        created_at: Timestamp::from_millis(natural(row, 2)?),
        started_at: moment(row, 3)?,
        completed_at: moment(row, 4)?,
        result: if status == JobStatus::Done { raw(body) } else { None },
        error,
        metadata: Metadata::from_column(row.get(5)?),
        signed_receipt: None,
    })
}

/// What an upstream said that refused: OpenAI's envelope, where it is one.
fn refused(http: u16, body: &str) -> JobError {
    #[derive(serde::Deserialize)]
    struct Envelope {
        error: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        message: String,
    }
    let said = serde_json::from_str::<Envelope>(body).ok().map(|envelope| envelope.error.message);
    let message = said.unwrap_or_else(|| format!("the upstream answered with status {http}"));
    JobError::new("upstream_error", message)
}
