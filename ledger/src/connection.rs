//! Opening the file: who may read it, how SQLite is set up, and what each refusal means.

use crate::{
    limits::{BUSY_TIMEOUT, STATEMENTS_KEPT, WAL_BYTES_KEPT, WRITER_CACHE_KIB},
    schema::{self, MIGRATIONS, SchemaError},
};
use protocol::NodeId;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not there and cannot be made.
    #[error("cannot create the ledger {}: its folder must exist and be writable", path.display())]
    Create {
        /// Where it would be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no file to read.
    #[error("there is no ledger at {} yet", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{} is not a ledger, choose another path; a `ledger.jsonl` of the first Lobstah is read with \
         `lobstah receipts import`",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// A later version of this program has written it.
    #[error(
        "the ledger {} is of version {found} and this program knows up to {known}: install the newer lobstah",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// An earlier version of this program has written it, and reading does not change it.
    #[error("the ledger {} is of an earlier version: `lobstah balance` brings it up to date", path.display())]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// The system denies access.
    #[error("no permission to use the ledger {0}: make it and its folder yours, `chown $USER {0}`", path.display())]
    Permission {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another process kept it locked for longer than the busy timeout.
    #[error("another process keeps the ledger {} locked: stop it or try again", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file system cannot share memory between processes.
    #[error("the file system of {} has no write-ahead log: put the ledger on a local disk", path.display())]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that SQLite says.
    #[error("cannot use the ledger {}; `lobstah receipts audit` says whether it is damaged", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system gives no further thread.
    #[error("cannot start the ledger's threads")]
    Thread(#[source] io::Error),
}

impl OpenError {
    fn new(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotALedger { path },
            Some(ErrorCode::CannotOpen) if !path.exists() => Self::Missing { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Permission { path, source }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, source },
            _ => Self::Sqlite { path, source },
        }
    }

    fn of_schema(path: &Path, error: SchemaError) -> Self {
        match error {
            SchemaError::Newer { found, known } => Self::Newer { path: path.to_owned(), found, known },
            SchemaError::NotALedger => Self::NotALedger { path: path.to_owned() },
            SchemaError::Sqlite(source) => Self::new(path, source),
        }
    }
}

/// Opens the ledger of the node `me` for writing; makes it, for our eyes only, if it is not there.
pub(crate) fn open_writing(path: &Path, me: &NodeId) -> Result<Connection, OpenError> {
    create_private(path).map_err(|source| OpenError::Create { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |source| OpenError::new(path, source);
    let mut conn = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    // A file that may only be read is opened all the same, and the first post would fail.
    if conn.is_readonly(MAIN_DB).map_err(sqlite)? {
        return Err(sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None)));
    }
    // Asked before anything is changed: the file may be another program's.
    schema::version(&conn, MIGRATIONS).map_err(|e| OpenError::of_schema(path, e))?;
    if !use_write_ahead_log(&conn).map_err(sqlite)? {
        return Err(OpenError::NoWriteAheadLog { path: path.to_owned() });
    }
    set_up_writing(&conn).map_err(sqlite)?;
    schema::migrate(&mut conn, MIGRATIONS, me).map_err(|e| OpenError::of_schema(path, e))?;
    Ok(conn)
}

/// Opens an existing ledger for reading. It never blocks a writer, and no writer blocks it.
pub(crate) fn open_reading(path: &Path) -> Result<Connection, OpenError> {
    match open_of_any_version(path)? {
        (conn, version) if version == MIGRATIONS.len() => Ok(conn),
        _ => Err(OpenError::Older { path: path.to_owned() }),
    }
}

/// The same for an audit, which takes an older one as it is.
pub(crate) fn open_to_audit(path: &Path) -> Result<Connection, OpenError> {
    open_of_any_version(path).map(|(conn, _)| conn)
}

fn open_of_any_version(path: &Path) -> Result<(Connection, usize), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |source| OpenError::new(path, source);
    let conn = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    match schema::version(&conn, MIGRATIONS).map_err(|e| OpenError::of_schema(path, e))? {
        // A process died between making the file and its tables.
        0 => Err(OpenError::Missing { path: path.to_owned() }),
        version => Ok((conn, version)),
    }
}

/// Makes an empty file of mode 0600, which SQLite's own files beside it inherit; leaves one that is
/// there alone. That one is not even opened: closing it again would drop the POSIX locks of every
/// other connection that this process has to it.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all().and_then(|()| sync_folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the name of a new or renamed file survive a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether the database now keeps a write-ahead log.
fn use_write_ahead_log(conn: &Connection) -> rusqlite::Result<bool> {
    // SQLite does not wait for a lock here: two processes that make the ledger at once collide.
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tries_left = BUSY_TIMEOUT.as_millis() / PAUSE.as_millis();
    loop {
        let mode = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match mode {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries_left > 0 => {
                tries_left -= 1;
                std::thread::sleep(PAUSE);
            }
            mode => return mode.map(|mode| mode == "wal"),
        }
    }
}

fn set_up_writing(conn: &Connection) -> rusqlite::Result<()> {
    // FULL: a commit that was reported survives a power cut, not only a crash.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT as i64)?;
    // The writer checkpoints by itself, after it has answered those who wait for the commit.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    if cfg!(target_os = "macos") {
        // There, fsync alone leaves the data in the drive's volatile cache.
        conn.pragma_update(None, "fullfsync", true)?;
        conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_flushed_before_it_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open_writing(&folder.path().join("ledger.db"), &NodeId::from_bytes([1; 32])).unwrap();
        let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        const FULL: i64 = 2;
        assert_eq!(number("synchronous"), FULL);
        assert_eq!(number("foreign_keys"), 1);
        assert_eq!(number("busy_timeout"), BUSY_TIMEOUT.as_millis() as i64);
    }

    #[test]
    fn a_reader_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        assert!(matches!(open_reading(&path), Err(OpenError::Missing { .. })));
        create_private(&path).unwrap();
        assert!(matches!(open_reading(&path), Err(OpenError::Missing { .. })));
    }
}
