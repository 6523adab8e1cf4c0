//! Replays everything and compares: each signature, both chains, the columns, the sums.
//!
//! Works on a damaged ledger as far as SQLite can open it, and beside a running node. Memory grows
//! with the number of keys, not of receipts. What it cannot find: that the newest rows are gone *and*
//! the sums were set back to match *and* the note beside the ledger (`<ledger>-head`) with them; compare
//! [`AuditReport::head`] and [`AuditReport::journal_head`] with an older report.

mod chain;
mod credit;
mod finding;
mod heads;
mod journal;
mod replay;
mod statement;
mod words;

pub use finding::Finding;

use crate::{
    balance::{Account, Balances, Totals},
    column::key_from,
    connection::{self, OpenError},
    head,
    limits::{FINDINGS_LISTED_MAX, SCAN_ROWS_MAX},
    query::account,
};
use credit::KeptCredit;
use journal::JournalReplay;
use protocol::Requester;
use replay::Replay;
use rusqlite::{Connection, Row};
use serde::Serialize;
use std::path::Path;

/// The outcome of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Entries that were read and checked.
    pub entries: u64,
    /// The last of them, 0 if there is none.
    pub last: i64,
    /// The chain's value there, as hex. Whoever notes it down can tell later whether any entry up to
    /// there was changed since.
    pub head: String,
    /// Rows of the journal that were read and checked.
    pub rows: u64,
    /// The journal's chain at its last row, in the same way.
    pub journal_head: String,
    /// The first entry that does not follow from the one before it.
    pub first_broken: Option<i64>,
    /// How many things are wrong.
    pub findings_total: u64,
    /// The first of them, up to [`FINDINGS_LISTED_MAX`].
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_LISTED_MAX {
            self.findings.push(finding);
        }
    }
}

/// Audits the ledger at `path`. `progress` is called now and then with the rows (entries, then those of
/// the journal) that are done and those that there are.
pub fn audit(path: &Path, progress: impl FnMut(u64, u64)) -> Result<AuditReport, OpenError> {
    // Before the ledger, which goes on growing.
    let noted = (head::noted(path), head::noted_as_lost(path));
    let conn = &connection::open_to_audit(path)?;
    let mut report = AuditReport::default();
    check_file(conn, &mut report);
    let kept = Kept::read(conn, &mut report);
    let journal = kept.credit.as_ref().map_or(0, |credit| credit.last);
    let total = kept.last.unsigned_abs() + journal.unsigned_abs();
    let mut progress = Progress { tell: progress, done: 0, total };
    let replayed = Replay::new(conn, &mut report, &mut progress).run(kept.last);
    compare(&kept, &replayed, &mut report);
    check_nonces(conn, &mut report);
    if let Some(credit) = &kept.credit {
        let replayed = JournalReplay::new(conn, &mut report, &mut progress).run(credit.last);
        credit.compare(&replayed, &mut report);
        heads::check(conn, noted, &mut report);
    }
    progress.end();
    Ok(report)
}

/// Who is told how far the audit is.
struct Progress<P> {
    tell: P,
    done: u64,
    total: u64,
}

impl<P: FnMut(u64, u64)> Progress<P> {
    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(SCAN_ROWS_MAX as u64) {
            (self.tell)(self.done, self.total);
        }
    }

    fn end(&mut self) {
        (self.tell)(self.done, self.total);
    }
}

/// What SQLite itself finds: pages, rows and indexes that contradict each other.
fn check_file(conn: &Connection, report: &mut AuditReport) {
    // Cells of impossible size are found too, at some cost that only an audit should bear.
    let _ = conn.pragma_update(None, "cell_size_check", true);
    let sql = format!("PRAGMA integrity_check({FINDINGS_LISTED_MAX})");
    let told = each_row(conn, &sql, |row| {
        let said: String = row.get(0)?;
        // One line may list many problems.
        for said in said.lines().filter(|said| *said != "ok") {
            report.add(Finding::file(said));
        }
        Ok(())
    });
    if let Err(error) = told {
        report.add(Finding::file(error));
    }
}

/// What the ledger says of its rows, read at one moment: work may go on.
struct Kept {
    balances: Option<Balances>,
    last: i64,
    /// `None` of a ledger from before there was a journal.
    credit: Option<KeptCredit>,
}

impl Kept {
    fn read(conn: &Connection, report: &mut AuditReport) -> Self {
        let tx = conn.unchecked_transaction();
        let last = conn.query_row("SELECT max(seq) FROM entry", [], |row| row.get::<_, Option<i64>>(0));
        let balances = kept_balances(conn, report);
        let credit = KeptCredit::read(conn, report);
        drop(tx);
        let balances = balances.map_err(|error| report.add(Finding::accounts_unreadable(error))).ok();
        // Not readable: then up to wherever the scan gets.
        Self { balances, last: last.map_or(i64::MAX, Option::unwrap_or_default), credit }
    }
}

fn kept_balances(conn: &Connection, report: &mut AuditReport) -> rusqlite::Result<Balances> {
    let mut kept = Balances::default();
    each_row(conn, "SELECT earned, spent, receipts, key FROM account", |row| {
        let key = row.get_ref(3)?.as_bytes().unwrap_or_default();
        match (key_from(key), account(row)) {
            (Some(who), Ok(account)) => {
                kept.accounts.insert(who, account);
            }
            _ => report.add(Finding::AccountUnreadable { key: hex::encode(key) }),
        }
        Ok(())
    })?;
    let totals = conn.query_row("SELECT earned, spent, receipts FROM totals WHERE one = 1", [], account)?;
    kept.totals = Totals { earned: totals.earned, spent: totals.spent, receipts: totals.receipts };
    Ok(kept)
}

fn compare(kept: &Kept, replayed: &Balances, report: &mut AuditReport) {
    let Some(balances) = &kept.balances else { return };
    let last = report.last;
    if balances.totals.receipts > last.unsigned_abs() {
        report.add(Finding::NewestMissing { last, counted: balances.totals.receipts });
    }
    if balances.totals != replayed.totals {
        report.add(Finding::TotalsDiffer { kept: balances.totals, replayed: replayed.totals });
    }
    let account_of =
        |of: &Balances, who: &Requester| -> Account { of.accounts.get(who).copied().unwrap_or_default() };
    let unkept = replayed.accounts.keys().filter(|who| !balances.accounts.contains_key(who));
    for who in balances.accounts.keys().chain(unkept) {
        let (kept, replayed) = (account_of(balances, who), account_of(replayed, who));
        if kept != replayed {
            report.add(Finding::AccountDiffers { key: who.to_string(), kept, replayed });
        }
    }
}

/// The index forbids a nonce twice; this does not trust the index. SQLite sorts on disk.
fn check_nonces(conn: &Connection, report: &mut AuditReport) {
    let sql = "SELECT min(seq), max(seq), count(*) FROM entry NOT INDEXED \
        GROUP BY worker, nonce HAVING count(*) > 1";
    let told = each_row(conn, sql, |row| {
        report.add(Finding::NonceTwice { first: row.get(0)?, last: row.get(1)?, times: row.get(2)? });
        Ok(())
    });
    if let Err(error) = told {
        report.add(Finding::nonces_unchecked(error));
    }
}

fn each_row(
    conn: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}
