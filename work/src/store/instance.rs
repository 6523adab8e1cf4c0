//! Which running process holds what, so that what a dead one held is taken up again.
//!
//! Each process that opens the store has a number, and a file beside the store on which it holds a lock
//! of the operating system as long as it lives: the system lets go of it however the process ends. A
//! number whose file is free, or gone, is dead.

use super::connection::open_private;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::{
    ffi::OsString,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
};

const NEXT: &str = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'instance'";

/// Nobody's number.
pub(crate) const NOBODY: i64 = 0;

/// This process, as the store knows it.
pub(crate) struct Instance {
    pub(crate) id: i64,
    store: PathBuf,
    /// Locked as long as it is open.
    _lock: fs::File,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A file that is gone says the same as one that is free.
        let _ = fs::remove_file(lock_path(&self.store, self.id));
    }
}

impl Instance {
    /// Takes the next number, under the store's lock, so that nobody takes the same.
    pub(crate) fn register(conn: &mut Connection, store: &Path) -> rusqlite::Result<io::Result<Self>> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = tx.query_row(NEXT, [], |row| row.get(0)).optional()?.unwrap_or(NOBODY + 1);
        let locked = open_private(&lock_path(store, id)).and_then(|lock| {
            lock.try_lock()?;
            Ok(lock)
        });
        let lock = match locked {
            Ok(lock) => lock,
            Err(error) => return Ok(Err(error)),
        };
        tx.execute("INSERT INTO instance (id) VALUES (?1)", [id])?;
        tx.commit()?;
        Ok(Ok(Self { id, store: store.to_owned(), _lock: lock }))
    }

    /// The other instances that are dead. Their files are removed; the caller forgets them in the same
    /// transaction.
    pub(crate) fn dead(&self, conn: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut known = conn.prepare_cached("SELECT id FROM instance WHERE id <> ?1")?;
        let known = known.query_map([self.id], |row| row.get::<_, i64>(0))?;
        known.filter(|id| id.as_ref().map_or(true, |id| is_dead(&lock_path(&self.store, *id)))).collect()
    }
}

fn lock_path(store: &Path, id: i64) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(format!("-run-{id}"));
    name.into()
}

/// In doubt it lives: then what it held waits for too long, and no more.
fn is_dead(path: &Path) -> bool {
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                let _ = fs::remove_file(path);
                true
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
    }
}
