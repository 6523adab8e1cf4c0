//! Why the ledger wrote nothing.

use rusqlite::ErrorCode;
use std::sync::Arc;

/// Why nothing was written. Whoever asked may ask again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unwritten {
    /// There is no room on the disk.
    #[error("the disk of the ledger is full, nothing was kept: free some space and try again")]
    DiskFull(#[source] Arc<rusqlite::Error>),
    /// Another process kept the ledger locked for longer than the busy timeout.
    #[error("another process keeps the ledger locked, nothing was kept: try again")]
    Locked(#[source] Arc<rusqlite::Error>),
    /// Anything else that SQLite says.
    #[error("the ledger cannot be written, nothing was kept: `lobstah receipts audit` says if it is damaged")]
    Store(#[source] Arc<rusqlite::Error>),
    /// The ledger was closed before its turn.
    #[error("the ledger is closed")]
    Closed,
}

impl From<rusqlite::Error> for Unwritten {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let error = Arc::new(error);
        match code {
            Some(ErrorCode::DiskFull) => Self::DiskFull(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error),
            _ => Self::Store(error),
        }
    }
}
