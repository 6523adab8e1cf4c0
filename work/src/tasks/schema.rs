//! Tables of tasks, and their rows.

use super::TaskId;
use crate::store::tx::{Tx, integer};
use rusqlite::params;

/// A lane is all that a batch (or the jobs) ask of one model; with a `code` its waiting tasks have failed.
/// A task's `line` is its line in the input file, whose bytes stand from `start` on, or its job's number.
/// `lease` has what runs; `losing` what is to be cancelled. `outcome` has answers until they are written
/// into a file, or for as long as their job is kept.
pub(crate) const TABLES: &str = "
CREATE TABLE lane (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    batch    INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    model    TEXT    NOT NULL,
    code     TEXT,
    message  TEXT,
    UNIQUE (batch, endpoint, model)
) STRICT;

CREATE TABLE task (
    batch      INTEGER NOT NULL,
    line       INTEGER NOT NULL,
    lane       INTEGER NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    opening    INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    custom_id  TEXT,
    last_error TEXT,
    PRIMARY KEY (batch, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_waiting ON task (lane, not_before, line) WHERE state = 0;
CREATE INDEX task_of_jobs ON task (lane) WHERE batch = 0;

CREATE TABLE lease (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    batch     INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    instance  INTEGER NOT NULL,
    losing    INTEGER NOT NULL DEFAULT 0,
    reserved  INTEGER NOT NULL,
    warm      INTEGER NOT NULL,
    hedge     INTEGER NOT NULL,
    leased_at INTEGER NOT NULL,
    answer_by INTEGER,
    worker    TEXT    NOT NULL,
    order_id  TEXT    UNIQUE
) STRICT;
CREATE INDEX lease_task ON lease (batch, line);
CREATE INDEX lease_instance ON lease (instance);
CREATE INDEX lease_losing ON lease (id) WHERE losing = 1;

CREATE TABLE outcome (
    id         INTEGER PRIMARY KEY,
    batch      INTEGER NOT NULL,
    line       INTEGER NOT NULL,
    status     INTEGER,
    request_id TEXT,
    code       TEXT,
    message    TEXT,
    body       TEXT,
    UNIQUE (batch, line)
) STRICT;

CREATE TABLE job (
    line            INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    ended           INTEGER NOT NULL DEFAULT 0,
    bytes           INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    idempotency_key TEXT    UNIQUE,
    request_sha256  BLOB,
    metadata        TEXT,
    body            BLOB
) STRICT;
CREATE INDEX job_open ON job (created_at, bytes) WHERE ended = 0;
CREATE INDEX job_ended ON job (ended_at) WHERE ended = 1;
";

/// Orders whose lease was closed and whose cost is not known. `credits` is what they may cost; until
/// `cancel_until` their worker is to be told that nobody wants them.
pub(crate) const UNHEARD: &str = "
CREATE TABLE unheard (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id     TEXT    NOT NULL UNIQUE,
    batch        INTEGER NOT NULL,
    worker       TEXT    NOT NULL,
    credits      INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    cancel_until INTEGER
) STRICT;
CREATE INDEX unheard_batch ON unheard (batch, since);
";

/// Rows hold these; the numbers are never given another meaning.
pub(crate) mod state {
    pub(crate) const WAITING: i64 = 0;
    pub(crate) const LEASED: i64 = 1;
    pub(crate) const DONE: i64 = 2;
    pub(crate) const FAILED: i64 = 3;
}

/// A task that waits from now on.
#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    pub(crate) id: TaskId,
    pub(crate) lane: i64,
    pub(crate) opening: u64,
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) custom_id: Option<String>,
}

pub(crate) fn insert(tx: &Tx<'_>, task: &NewTask) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO task (batch, line, lane, opening, start, bytes, custom_id) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let row = params![
        task.id.batch,
        task.id.line,
        task.lane,
        task.opening.cast_signed(),
        integer(task.start),
        integer(task.bytes),
        task.custom_id,
    ];
    tx.run(INSERT, row).map(|_| ())
}
