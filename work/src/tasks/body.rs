//! The request of a task, byte for byte: from the input file, where it lies, or from its job's row.

use super::{TaskId, Tasks};
use crate::{
    batches::check::body_of,
    files::path_of,
    store::{error::StoreError, tx::natural},
};
use std::io::SeekFrom;
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncSeekExt},
};

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The task has ended and is forgotten.
    #[error("the task is over, its request is gone")]
    Gone,
    /// The input file is not what was checked: fail the task.
    #[error("the input file was changed on the disk, upload it again")]
    Changed,
    /// Nothing was read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a line stands.
struct Place {
    file: String,
    start: u64,
    bytes: u64,
}

impl Tasks<'_> {
    /// The body to send.
    pub async fn body(self, task: TaskId) -> Result<Vec<u8>, BodyError> {
        if task.is_job() {
            return self.body_of_job(task).await;
        }
        const PLACE: &str = "SELECT input_file, start, bytes FROM task JOIN batch ON batch.seq = task.batch \
            WHERE task.batch = ?1 AND task.line = ?2";
        let found = self.work.read(move |view| {
            view.one(PLACE, [task.batch, task.line], |row| {
                Ok(Place { file: row.get(0)?, start: natural(row, 1)?, bytes: natural(row, 2)? })
            })
        });
        let place = found.await?.ok_or(BodyError::Gone)?;
        let line = self.line(&place).await?;
        Ok(body_of(&line).ok_or(BodyError::Changed)?.to_vec())
    }

    async fn body_of_job(self, task: TaskId) -> Result<Vec<u8>, BodyError> {
        const BODY: &str = "SELECT body FROM job WHERE line = ?1 AND body IS NOT NULL";
        let found = self.work.read(move |view| view.one(BODY, [task.line], |row| row.get(0)));
        found.await?.ok_or(BodyError::Gone)
    }

    async fn line(self, place: &Place) -> Result<Vec<u8>, BodyError> {
        let path = path_of(self.work.files_folder(), &place.file);
        let mut file = fs::File::open(path).await.map_err(StoreError::from)?;
        file.seek(SeekFrom::Start(place.start)).await.map_err(StoreError::from)?;
        let mut line = Vec::with_capacity(usize::try_from(place.bytes).unwrap_or_default());
        let read = file.take(place.bytes).read_to_end(&mut line).await.map_err(StoreError::from)?;
        if read as u64 == place.bytes { Ok(line) } else { Err(BodyError::Changed) }
    }
}
