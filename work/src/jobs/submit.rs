//! Taking a job on.

use super::Jobs;
use crate::{
    batches::check::{Problem, read_body},
    endpoint::Endpoint,
    id,
    idempotency::{Created, Idempotency},
    limits::{JOBS_BYTES_MAX, JOBS_OPEN_MAX},
    metadata::Metadata,
    opening::Opening,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
    tasks::{self, JOBS, NewTask, TaskId},
};
use protocol::{ModelName, Timestamp};
use rusqlite::params;

/// A job to be taken on.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it asks for.
    pub endpoint: Endpoint,
    /// The request, byte for byte.
    pub body: Vec<u8>,
    /// What is given back with its record.
    pub metadata: Metadata,
    /// With which key it came.
    pub idempotency: Option<Idempotency>,
}

/// Why a job is not taken on.
#[derive(Debug, thiserror::Error)]
pub enum SubmitJobError {
    /// 400
    #[error("{}", .0.message)]
    BadBody(Problem),
    /// 400: the key came before, with another request.
    #[error("this `Idempotency-Key` came with another request before, use a new one")]
    KeyUsed,
    /// 429
    #[error("as many jobs as one node runs are not over yet, wait for some to end")]
    TooMany,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs<'_> {
    /// Takes a job on, durable when it resolves; gives its id. The same request with the same
    /// `Idempotency-Key` again is the same job.
    pub async fn submit(self, new: NewJob, now: Timestamp) -> Result<Created<String>, SubmitJobError> {
        let read = read_body(new.endpoint, &new.body);
        let (model, opening) = read.map_err(SubmitJobError::BadBody)?;
        let id = id::uuid()?;
        let keep = move |tx: &Tx<'_>| {
            if let Some(before) = before(tx, &new)? {
                return Ok(before);
            }
            let body_bytes = new.body.len() as u64;
            if is_full(tx, body_bytes)? {
                return Ok(Err(SubmitJobError::TooMany));
            }
            insert(tx, &id, &new, (&model, opening), now)?;
            Ok(Ok(Created::New(id.clone())))
        };
        self.work.write(Step::JobKept, keep).await
    }
}

fn before(tx: &Tx<'_>, new: &NewJob) -> rusqlite::Result<Option<Result<Created<String>, SubmitJobError>>> {
    const FIND: &str = "SELECT id, request_sha256 = ?2 FROM job WHERE idempotency_key = ?1";
    let Some(key) = &new.idempotency else { return Ok(None) };
    let wanted = params![key.key(), key.request_sha256()];
    let found = tx.one(FIND, wanted, |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    Ok(found.map(|(id, same)| if same { Ok(Created::Before(id)) } else { Err(SubmitJobError::KeyUsed) }))
}

fn is_full(tx: &Tx<'_>, body_bytes: u64) -> rusqlite::Result<bool> {
    const OPEN: &str = "SELECT count(*) FROM job WHERE ended = 0";
    const BYTES: &str = "SELECT coalesce(sum(bytes), 0) FROM job WHERE ended = 0";
    Ok(tx.number(OPEN, [])? >= JOBS_OPEN_MAX || tx.number(BYTES, [])? + body_bytes > JOBS_BYTES_MAX)
}

fn insert(
    tx: &Tx<'_>,
    id: &str,
    new: &NewJob,
    (model, opening): (&ModelName, Opening),
    now: Timestamp,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO job (id, bytes, created_at, idempotency_key, request_sha256, metadata, body) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let bytes = new.body.len() as u64;
    let key = new.idempotency.as_ref();
    let row = params![
        id,
        integer(bytes),
        integer(now.as_millis()),
        key.map(Idempotency::key),
        key.map(Idempotency::request_sha256),
        new.metadata.to_column(),
        new.body,
    ];
    tx.run(INSERT, row)?;
    let task = NewTask {
        id: TaskId { batch: JOBS, line: tx.inserted() },
        lane: tasks::lane(tx, JOBS, new.endpoint, model)?,
        opening: opening.0,
        start: 0,
        bytes,
        custom_id: None,
    };
    tasks::insert(tx, &task)
}
