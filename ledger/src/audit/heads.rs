//! Whether the ledger still reaches to where it was noted to, and is there what it was.

use super::{AuditReport, Finding};
use crate::{append::Head, column::integer, head::Heads, scan::Table};
use rusqlite::{Connection, OptionalExtension};
use std::path::PathBuf;

pub(super) fn check(
    conn: &Connection,
    (noted, lost): (Option<Heads>, Option<(PathBuf, Heads)>),
    report: &mut AuditReport,
) {
    let noted = noted.map(|heads| (String::new(), heads));
    let lost = lost.map(|(path, heads)| (path.display().to_string(), heads));
    for (note, heads) in noted.into_iter().chain(lost) {
        for (table, head) in [(Table::Entry, heads.entries), (Table::Journal, heads.journal)] {
            if let Some(finding) = compare(conn, table, head, &note) {
                report.add(finding);
            }
        }
    }
}

/// What cannot be read is found elsewhere.
fn compare(conn: &Connection, table: Table, noted: Head, note: &str) -> Option<Finding> {
    let (chain, sql, last) = match table {
        Table::Entry => ("entry", "SELECT chain FROM entry WHERE seq = ?1", "SELECT max(seq) FROM entry"),
        Table::Journal => {
            ("journal", "SELECT chain FROM journal WHERE seq = ?1", "SELECT max(seq) FROM journal")
        }
    };
    let note = note.to_owned();
    let value = conn.query_row(sql, [integer(noted.seq)], |row| row.get::<_, Vec<u8>>(0)).optional().ok()?;
    match value {
        _ if noted.seq == 0 => None,
        Some(value) if value == noted.chain => None,
        Some(_) => Some(Finding::Rewritten { chain, row: noted.seq, note }),
        None => {
            let last: Option<i64> = conn.query_row(last, [], |row| row.get(0)).ok()?;
            let last = last.unwrap_or_default().unsigned_abs();
            // A gap further back is found as such.
            (last < noted.seq).then_some(Finding::NewestLost { chain, last, noted: noted.seq, note })
        }
    }
}
