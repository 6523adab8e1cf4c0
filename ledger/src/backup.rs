//! A copy of the ledger while it is in use.

use crate::{
    connection::{create_private, sync_folder_of},
    query::Reader,
};
use rusqlite::{Connection, OpenFlags, backup::Backup};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A backup never overwrites.
    #[error("{} is there already: choose another name or move it away", path.display())]
    Exists {
        /// What would be overwritten.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite could not copy.
    #[error("cannot copy the ledger to {}: look for room on the disk, then run `lobstah receipts audit`", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl Reader {
    /// Writes a copy of the ledger as it is at this moment to the new file `to`, while others go
    /// on posting. Under its name the copy is complete and durable; before, it has `.partial`
    /// added.
    pub fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let write = |source| BackupError::Write { path: to.to_owned(), source };
        if to.try_exists().map_err(write)? {
            return Err(BackupError::Exists { path: to.to_owned() });
        }
        let partial = partial_of(to);
        remove_if_there(&partial).map_err(write)?;
        create_private(&partial).map_err(write)?;
        let copied = copy(&self.conn, &partial);
        let kept = copied
            .map_err(|source| BackupError::Copy { path: to.to_owned(), source })
            .and_then(|()| fs::rename(&partial, to).and_then(|()| sync_folder_of(to)).map_err(write));
        if kept.is_err() {
            // The first error is the one that is told.
            let _ = remove_if_there(&partial);
        }
        kept
    }
}

fn copy(from: &Connection, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags)?;
    // All pages in one step: between two steps a post would make it start again, for ever on a
    // busy node. It reads one snapshot, so nobody waits for it.
    let done = Backup::new(from, &mut copy)?.step(-1)?;
    match done {
        rusqlite::backup::StepResult::Done => {}
        _ => return Err(rusqlite::Error::SqliteFailure(busy(), None)),
    }
    // One plain file, to be moved around without a `-wal` beside it.
    copy.pragma_update(None, "journal_mode", "delete")?;
    copy.close().map_err(|(_, error)| error)
}

fn busy() -> rusqlite::ffi::Error {
    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY)
}

fn partial_of(to: &Path) -> PathBuf {
    let mut name = OsString::from(to);
    name.push(".partial");
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
