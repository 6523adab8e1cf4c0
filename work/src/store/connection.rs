//! Opening the file: who may read it, how SQLite is set up, and what each refusal means.

use super::schema::{self, SchemaError};
use crate::limits::{BUSY_TIMEOUT, STATEMENTS_KEPT, WAL_BYTES_KEPT, WRITER_CACHE_KIB};
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the work store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder is not there and cannot be made.
    #[error("cannot create {}: `LOBSTAH_HOME` must exist and be writable", path.display())]
    Create {
        /// Where it would be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a work store of lobstah: move it away", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A later version of this program has written it.
    #[error(
        "the work store {} is of version {found} and this program knows up to {known}: install the newer lobstah",
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
    /// The system denies access.
    #[error("no permission to use the work store {0}: make it and its folder yours, `chown $USER {0}`", path.display())]
    Permission {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another process kept it locked for longer than the busy timeout.
    #[error("another process keeps the work store {} locked: stop it or try again", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file system cannot share memory between processes.
    #[error("the file system of {} has no write-ahead log: put `LOBSTAH_HOME` on a local disk", path.display())]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that SQLite says.
    #[error("cannot use the work store {}: move it away if it is damaged", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system gives no further thread.
    #[error("cannot start the work store's threads")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn new(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAStore { path },
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
            SchemaError::NotAStore => Self::NotAStore { path: path.to_owned() },
            SchemaError::Sqlite(source) => Self::new(path, source),
        }
    }
}

/// Opens the store for writing; makes it, for our eyes only, if it is not there.
pub(crate) fn open_writing(path: &Path) -> Result<Connection, OpenError> {
    create_private(path).map_err(|source| OpenError::Create { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |source| OpenError::new(path, source);
    let of_schema = |error| OpenError::of_schema(path, error);
    let mut conn = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    // A file that may only be read is opened all the same, and the first request would fail.
    if conn.is_readonly(MAIN_DB).map_err(sqlite)? {
        return Err(sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None)));
    }
    // Asked before anything is changed: the file may be another program's.
    if schema::version(&conn).map_err(of_schema)? == 0 {
        // Only before there is a first table: pages that are free can be given back to the disk.
        conn.pragma_update(None, "auto_vacuum", "incremental").map_err(sqlite)?;
    }
    if !use_write_ahead_log(&conn).map_err(sqlite)? {
        return Err(OpenError::NoWriteAheadLog { path: path.to_owned() });
    }
    set_up_writing(&conn).map_err(sqlite)?;
    schema::migrate(&mut conn).map_err(of_schema)?;
    Ok(conn)
}

/// Opens the store, which is there, for reading. It never blocks a writer, and no writer blocks it.
pub(crate) fn open_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(conn)
}

/// Makes an empty file of mode 0600, which SQLite's own files beside it inherit; leaves one that is
/// there alone: opening and closing it would drop this process's other locks on it.
fn create_private(path: &Path) -> io::Result<()> {
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

/// Opens a file for our eyes only, making it if it is not there.
pub(crate) fn open_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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
    // SQLite does not wait for a lock here: two processes that make the store at once collide.
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
    // FULL: what was reported as kept survives a power cut, not only a crash.
    conn.pragma_update(None, "synchronous", "full")?;
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
