//! The request of a task, byte for byte: from the input file, where it lies, or from its job's row.

use super::{TaskId, Tasks};
use crate::{
    batches::check::body_of,
    files::path_of,
    store::{error::StoreError, tx::natural},
};
use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
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
        let line = self.line(place).await?;
        Ok(body_of(&line).ok_or(BodyError::Changed)?.to_vec())
    }

    async fn body_of_job(self, task: TaskId) -> Result<Vec<u8>, BodyError> {
        const BODY: &str = "SELECT body FROM job WHERE line = ?1 AND body IS NOT NULL";
        let found = self.work.read(move |view| view.one(BODY, [task.line], |row| row.get(0)));
        found.await?.ok_or(BodyError::Gone)
    }

    async fn line(self, place: Place) -> Result<Vec<u8>, BodyError> {
        let path = path_of(self.work.files_folder(), &place.file);
        let read = move || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(path)?;
            file.seek(SeekFrom::Start(place.start))?;
            let mut line = vec![0; usize::try_from(place.bytes).unwrap_or_default()];
            file.read_exact(&mut line)?;
            Ok(line)
        };
        // One trip to a thread that may block, and not one for each of the three.
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)?;
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => BodyError::Changed,
            _ => BodyError::Store(error.into()),
        })
    }
}
