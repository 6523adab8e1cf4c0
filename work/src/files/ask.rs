//! One file: what it is, and its bytes.

use super::{
    File, Files, path_of,
    schema::{COLUMNS, read},
};
use crate::store::error::StoreError;
use std::{io::SeekFrom, ops::Range};
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncSeekExt, Take},
};

/// Bytes of a file, ready to be read.
#[derive(Debug)]
pub struct Content {
    /// The file.
    pub file: File,
    /// Which of its bytes.
    pub range: Range<u64>,
    /// They. What is deleted meanwhile is still read to its end.
    pub reader: Take<fs::File>,
}

/// Why a file's bytes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// 404
    #[error("there is no such file")]
    NotFound,
    /// 416, with `Content-Range: bytes */<bytes>`.
    #[error("the range lies beyond the file, which has {bytes} bytes")]
    OutOfRange {
        /// The file's size.
        bytes: u64,
    },
    /// Nothing was read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Files<'_> {
    /// A file by its id.
    pub async fn get(self, id: &str) -> Result<Option<File>, StoreError> {
        let id = id.to_owned();
        let sql = format!("SELECT {COLUMNS} FROM file WHERE id = ?1 AND doomed = 0");
        self.work.read(move |view| view.one(&sql, [id], read)).await
    }

    /// Its bytes from `first` to `last`, both included, as a `Range` header counts them; to the end
    /// where `last` is `None` or beyond it.
    pub async fn content(self, id: &str, first: u64, last: Option<u64>) -> Result<Content, ContentError> {
        let file = self.get(id).await?.ok_or(ContentError::NotFound)?;
        let bytes = file.bytes;
        let end = last.map_or(bytes, |last| last.saturating_add(1).min(bytes));
        // Of an empty file all that there is can be read, which is nothing.
        if first >= end && !(first == 0 && bytes == 0) {
            return Err(ContentError::OutOfRange { bytes });
        }
        let path = path_of(self.work.files_folder(), &file.id);
        let mut opened = fs::File::open(path).await.map_err(StoreError::from)?;
        opened.seek(SeekFrom::Start(first)).await.map_err(StoreError::from)?;
        Ok(Content { file, range: first..end, reader: opened.take(end - first) })
    }
}
