//! Deleting: first the row says so, then the bytes go, then the row.

use super::{Files, path_of};
use crate::{
    handle::Work,
    limits::ROWS_AT_ONCE,
    step::{self, Step},
    store::{error::StoreError, tx::Tx},
};
use serde::Serialize;
use std::io;
use tokio::fs;

/// OpenAI's answer to a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Which file.
    pub id: String,
    /// Always `file`.
    pub object: &'static str,
    /// Always true: what is not there is an error instead.
    pub deleted: bool,
}

impl Files<'_> {
    /// Deletes a file; `None` if there is none (404). A batch that reads it goes on: the bytes stay
    /// until it has ended.
    pub async fn delete(self, id: &str) -> Result<Option<Deleted>, StoreError> {
        const DOOM: &str = "UPDATE file SET doomed = 1 WHERE id = ?1 AND doomed = 0";
        let name = id.to_owned();
        let doom = move |tx: &Tx<'_>| tx.run(DOOM, [&name]).map(|rows| Ok::<_, StoreError>(rows == 1));
        if !self.work.write(Step::FileDeleted, doom).await? {
            return Ok(None);
        }
        self.work.unlink_deleted().await?;
        Ok(Some(Deleted { id: id.to_owned(), object: "file", deleted: true }))
    }
}

impl Work {
    /// Removes the bytes of deleted files that no batch reads any more.
    pub(crate) async fn unlink_deleted(&self) -> Result<(), StoreError> {
        const FREE: &str = "SELECT id FROM file WHERE doomed = 1 AND NOT EXISTS \
            (SELECT 1 FROM batch WHERE input_file = file.id AND ended = 0) LIMIT ?1";
        let free = self.read(|view| view.all(FREE, [ROWS_AT_ONCE as i64], |row| row.get(0)));
        let free: Vec<String> = free.await?;
        if free.is_empty() {
            return Ok(());
        }
        for id in &free {
            match fs::remove_file(path_of(self.files_folder(), id)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => step::done(Step::FileUnlinked),
            }
        }
        let forget = move |tx: &Tx<'_>| {
            free.iter().try_for_each(|id| tx.run("DELETE FROM file WHERE id = ?1", [id]).map(|_| ()))?;
            Ok(Ok(()))
        };
        self.write(Step::FileUnlinked, forget).await
    }
}
