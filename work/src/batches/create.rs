//! Creating a batch: one durable step.

use super::{Batch, Batches, ID_PREFIX, NewBatch, ask, lifecycle::BatchStatus};
use crate::{
    files::Purpose,
    id,
    idempotency::Created,
    limits::BATCHES_OPEN_MAX,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, View, integer},
    },
};
use protocol::Timestamp;
use rusqlite::params;

/// Why a batch is not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// 404, `param` `input_file_id`.
    #[error("there is no file `{0}`, upload it first")]
    NoSuchFile(String),
    /// 400, `param` `input_file_id`.
    #[error("the file `{0}` was not uploaded for `batch`, upload it with that purpose")]
    WrongPurpose(String),
    /// 400: the key came before, with another request.
    #[error("this `Idempotency-Key` came with another request before, use a new one")]
    KeyUsed,
    /// 429
    #[error("as many batches as one node runs are not over yet, wait for some to end")]
    TooMany,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Batches<'_> {
    /// Creates a batch, `validating`; call [`Batches::validate`] next. The same request with the same
    /// `Idempotency-Key` again is the same batch.
    pub async fn create(self, new: NewBatch, now: Timestamp) -> Result<Created<Batch>, CreateError> {
        let id = id::random(ID_PREFIX)?;
        let create = move |tx: &Tx<'_>| {
            if let Some(before) = before(tx, &new)? {
                return Ok(before.map(Created::Before));
            }
            if let Some(refused) = refusal(tx, &new)? {
                return Ok(Err(refused));
            }
            insert(tx, &id, &new, now)?;
            let batch = ask::one(tx, &id)?;
            Ok(batch.map(Created::New).ok_or(CreateError::Store(StoreError::Closed)))
        };
        self.work.write(Step::BatchCreated, create).await
    }
}

/// The batch that this key made before.
fn before(view: &View<'_>, new: &NewBatch) -> rusqlite::Result<Option<Result<Batch, CreateError>>> {
    const FIND: &str = "SELECT id, request_sha256 FROM batch WHERE idempotency_key = ?1";
    let Some(key) = &new.idempotency else { return Ok(None) };
    let found =
        view.one(FIND, [key.key()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let Some((id, request)) = found else { return Ok(None) };
    if request != key.request_sha256() {
        return Ok(Some(Err(CreateError::KeyUsed)));
    }
    Ok(ask::one(view, &id)?.map(Ok))
}

fn refusal(view: &View<'_>, new: &NewBatch) -> rusqlite::Result<Option<CreateError>> {
    const PURPOSE: &str = "SELECT purpose FROM file WHERE id = ?1 AND doomed = 0";
    const OPEN: &str = "SELECT count(*) FROM batch WHERE ended = 0";
    let file = || new.input_file.clone();
    Ok(match view.one(PURPOSE, [&new.input_file], |row| row.get(0))?.map(Purpose::from_code) {
        None => Some(CreateError::NoSuchFile(file())),
        Some(Some(Purpose::Batch)) if view.number(OPEN, [])? >= BATCHES_OPEN_MAX => {
            Some(CreateError::TooMany)
        }
        Some(Some(Purpose::Batch)) => None,
        Some(_) => Some(CreateError::WrongPurpose(file())),
    })
}

fn insert(tx: &Tx<'_>, id: &str, new: &NewBatch, now: Timestamp) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO batch (id, status, turn, hedge, created_at, expires_at, endpoint, \
        output_life_seconds, input_file, completion_window, max_credits, destinations, idempotency_key, \
        request_sha256, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let key = new.idempotency.as_ref();
    let row = params![
        id,
        BatchStatus::Validating.code(),
        tx.turn()?,
        new.hedge,
        integer(now.as_millis()),
        integer(new.window.end(now).as_millis()),
        new.endpoint.code(),
        new.output_life_seconds.map(integer),
        new.input_file,
        new.window.to_string(),
        new.max_credits.map(|max| integer(max.get())),
        new.to.as_ref().map(|to| serde_json::to_string(to).unwrap_or_default()),
        key.map(|key| key.key()),
        key.map(|key| key.request_sha256()),
        new.metadata.to_column(),
    ];
    tx.run(INSERT, row).map(|_| ())
}
