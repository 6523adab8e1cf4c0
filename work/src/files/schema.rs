//! Tables of files, and their rows.

use super::{File, FileStatus, Purpose};
use crate::store::tx::{Tx, damaged, integer, moment, natural};
use protocol::Timestamp;
use rusqlite::{Row, params};

/// `doomed` tells a file that was deleted and whose bytes may still be there. `upload` has those that
/// have begun and are not files yet.
pub(crate) const TABLES: &str = "
CREATE TABLE file (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    purpose    INTEGER NOT NULL,
    doomed     INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    name       TEXT    NOT NULL,
    problem    TEXT,
    checked    INTEGER NOT NULL
) STRICT;
CREATE INDEX file_purpose ON file (purpose, seq) WHERE doomed = 0;
CREATE INDEX file_expires ON file (expires_at) WHERE doomed = 0 AND expires_at IS NOT NULL;
CREATE INDEX file_doomed ON file (seq) WHERE doomed = 1;
CREATE INDEX file_bytes ON file (bytes);

CREATE TABLE upload (
    id       TEXT    PRIMARY KEY,
    instance INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What [`read`] reads.
pub(super) const COLUMNS: &str = "id, bytes, created_at, expires_at, name, purpose, problem, checked";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<File> {
    let purpose = Purpose::from_code(row.get(5)?).ok_or_else(|| damaged(5))?;
    let (problem, checked): (Option<String>, bool) = (row.get(6)?, row.get(7)?);
    let status = match (checked, &problem) {
        (false, _) => FileStatus::Uploaded,
        (true, None) => FileStatus::Processed,
        (true, Some(_)) => FileStatus::Error,
    };
    Ok(File {
        id: row.get(0)?,
        bytes: natural(row, 1)?,
        created_at: Timestamp::from_millis(natural(row, 2)?),
        expires_at: moment(row, 3)?,
        filename: row.get(4)?,
        purpose,
        status,
        status_details: problem,
    })
}

/// A file whose bytes stand in their place.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    pub(crate) id: String,
    pub(crate) purpose: Purpose,
    pub(crate) bytes: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) name: String,
    /// The first thing that is wrong with it, if it was looked at.
    pub(crate) checked: Option<Option<String>>,
}

pub(crate) fn insert(tx: &Tx<'_>, file: &NewRow) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO file (id, purpose, bytes, created_at, expires_at, name, problem, checked) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let row = params![
        file.id,
        file.purpose.code(),
        integer(file.bytes),
        integer(file.created_at.as_millis()),
        file.expires_at.map(|at| integer(at.as_millis())),
        file.name,
        file.checked.clone().flatten(),
        file.checked.is_some(),
    ];
    tx.run(INSERT, row)?;
    tx.run("DELETE FROM upload WHERE id = ?1", [&file.id]).map(|_| ())
}

/// Bytes of all files, those included that were deleted and are still read.
pub(super) const BYTES: &str = "SELECT coalesce(sum(bytes), 0) FROM file";
pub(super) const COUNT: &str = "SELECT count(*) FROM file";
