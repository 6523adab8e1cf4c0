//! Why the store did not do what it was asked.

use rusqlite::ErrorCode;
use std::{io, sync::Arc};

/// Why nothing was kept, or nothing could be read. What was kept before is untouched, and whoever asked
/// may ask again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room on the disk.
    #[error("the disk is full, nothing was kept: free some space and try again")]
    DiskFull,
    /// The file, its folder or the disk may not be written.
    #[error("the work store may not be written, nothing was kept: make `LOBSTAH_HOME` writable")]
    ReadOnly,
    /// Another process kept it locked for longer than the busy timeout.
    #[error("another process keeps the work store locked, nothing was kept: try again")]
    Locked,
    /// Anything else that SQLite says.
    #[error("the work store cannot be used: look at the log, and move `work.db` away if it is damaged")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// Anything else that the system says of a file beside it.
    #[error("a file of the work store cannot be used: look at the log")]
    File(#[source] Arc<io::Error>),
    /// The store was closed before its turn.
    #[error("the work store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match error.kind() {
            // A limit on the size of files is met like a full disk: some room was all that was missing.
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull,
            PermissionDenied | ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::File(Arc::new(error)),
        }
    }
}

/// Whether every other request would meet the same, so that trying each alone is of no use.
pub(crate) fn is_everybodys(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        None | Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}
