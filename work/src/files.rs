//! Files: what tools upload, and what batches write.
//!
//! A file is a row and, under its id in `files/`, its bytes. The bytes are written beside, flushed and
//! renamed before the row is; whatever has no row after a crash is found by [`crate::Work::sweep`], since a
//! row says beforehand that an upload begins. Names that tools give are data and never paths.
//!
//! Deleting is allowed at any time, as at OpenAI: the file can no longer be seen, and its bytes stay until
//! the last batch that reads them has ended.

mod ask;
mod delete;
mod file;
mod page;
mod purpose;
pub(crate) mod schema;
mod sweep;
mod upload;

pub use ask::{Content, ContentError};
pub use delete::Deleted;
pub use file::{File, FileStatus};
pub(crate) use page::limit_of;
pub use page::{FilePage, List, ListError, Order};
pub use purpose::Purpose;
pub(crate) use schema::{NewRow, insert};
pub(crate) use sweep::sweep;
pub use upload::{NewFile, Upload, UploadError};

use crate::handle::Work;
use std::path::{Path, PathBuf};

pub(crate) const ID_PREFIX: &str = "file-";

/// The files; see the module.
#[derive(Clone, Copy)]
pub struct Files<'w> {
    work: &'w Work,
}

impl Work {
    /// What tools upload, and what batches write.
    pub fn files(&self) -> Files<'_> {
        Files { work: self }
    }
}

/// Where the bytes of a file are. `id` is one of ours, from the store.
pub(crate) fn path_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(id)
}

/// Where they are until they are complete.
pub(crate) fn part_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.part"))
}
