//! Which running ledger holds which reservations, so that those of a dead one are given back.
//!
//! Each ledger that takes orders has a number and a file beside the ledger, on which it holds a lock of
//! the operating system as long as it lives: the system lets go of it however the process ends. A number
//! whose file is free, or gone, is dead; whoever finds that out gives its reservations back.

use crate::head::{beside, open_private};
use protocol::{NodeId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use std::{
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
};

const NEXT: &str = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'instance'";

/// What a writer knows beside the database.
pub(crate) struct Keeper {
    me: NodeId,
    ledger: PathBuf,
    instance: Option<Instance>,
    /// The transaction that made the instance's row is committed.
    registered: bool,
    swept_at: Option<Timestamp>,
}

struct Instance {
    id: i64,
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: fs::File,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A file that is gone says the same as one that is free.
        let _ = fs::remove_file(&self.path);
    }
}

impl Keeper {
    pub(crate) fn new(me: NodeId, ledger: &Path) -> Self {
        Self { me, ledger: ledger.to_owned(), instance: None, registered: false, swept_at: None }
    }

    pub(crate) const fn me(&self) -> NodeId {
        self.me
    }

    /// Our number, which the first call makes; within a transaction, so that nobody takes the same.
    pub(crate) fn instance(&mut self, conn: &Connection) -> rusqlite::Result<io::Result<i64>> {
        if let Some(instance) = &self.instance {
            return Ok(Ok(instance.id));
        }
        let id = conn.query_row(NEXT, [], |row| row.get(0)).optional()?.unwrap_or(1);
        let path = lock_path(&self.ledger, id);
        let locked = open_private(&path).and_then(|lock| {
            lock.try_lock()?;
            Ok(lock)
        });
        let lock = match locked {
            Ok(lock) => lock,
            Err(error) => return Ok(Err(error)),
        };
        self.instance = Some(Instance { id, path, _lock: lock });
        self.registered = false;
        conn.execute("INSERT INTO instance (id) VALUES (?1)", [id])?;
        Ok(Ok(id))
    }

    /// The transaction was committed.
    pub(crate) fn committed(&mut self) {
        self.registered = self.instance.is_some();
    }

    /// The transaction was not.
    pub(crate) fn rolled_back(&mut self) {
        if !self.registered {
            self.instance = None;
        }
    }

    /// Whether nobody looked for the dead since this ledger was opened.
    pub(crate) const fn never_swept(&self) -> bool {
        self.swept_at.is_none()
    }

    /// Whether it is `every_ms` since we last looked for the dead; if so it counts as done now.
    pub(crate) fn sweep_is_due(&mut self, now: Timestamp, every_ms: u64) -> bool {
        let due = self.swept_at.is_none_or(|at| now.as_millis().abs_diff(at.as_millis()) >= every_ms);
        if due {
            self.swept_at = Some(now);
        }
        due
    }

    /// The instances that are dead. Their files are removed; the caller forgets them in the same
    /// transaction.
    pub(crate) fn dead(&self, conn: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mine = self.instance.as_ref().map(|instance| instance.id);
        let mut known = conn.prepare_cached("SELECT id FROM instance")?;
        let known = known.query_map([], |row| row.get::<_, i64>(0))?;
        let others = known.filter(|id| id.as_ref().ok() != mine.as_ref());
        others.filter(|id| id.as_ref().map_or(true, |id| is_dead(&lock_path(&self.ledger, *id)))).collect()
    }

    /// At the end: our number is forgotten if nothing is left that we hold.
    pub(crate) fn retire(&mut self, conn: &Connection) {
        const RETIRE: &str = "DELETE FROM instance WHERE id = ?1 AND NOT EXISTS \
            (SELECT 1 FROM exchange WHERE owner = ?1 AND phase = 0 AND side = 0)";
        if let Some(instance) = self.instance.take() {
            // Failing that, another will find it dead.
            let _ = conn.execute(RETIRE, [instance.id]);
        }
    }
}

fn lock_path(ledger: &Path, id: i64) -> PathBuf {
    beside(ledger, &format!("-run-{id}"))
}

/// In doubt it lives: then a reservation is held for too long, and no more.
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
