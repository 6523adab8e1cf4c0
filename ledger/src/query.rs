//! The read side: a connection of its own that never blocks the writer.
//!
//! Every answer costs the same however many receipts there are, except where it lists many of them.
//! These calls block; a node asks through [`crate::Ledger`], which has a thread for it.

mod credit;

pub use credit::Papers;

use crate::{
    balance::{Account, Totals},
    column::{integer, key_from, key_of, natural},
    connection::{self, OpenError},
    entry::{Entry, Origin},
    scan::{Step, Table, scan},
};
use protocol::{NodeId, Requester, Timestamp, receipt::Nonce};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;

const TOTALS: &str = "SELECT earned, spent, receipts FROM totals WHERE one = 1";
const ACCOUNT: &str = "SELECT earned, spent, receipts FROM account WHERE key = ?1";
const ACCOUNTS: &str = "SELECT earned, spent, receipts, key FROM account \
    ORDER BY receipts DESC, key LIMIT ?1";
const LAST: &str = "SELECT seq, signed, origin, posted_at FROM entry ORDER BY seq DESC LIMIT ?1";
const AFTER: &str = "SELECT seq, signed, origin, posted_at FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2";
const SEEN: &str = "SELECT EXISTS (SELECT 1 FROM entry WHERE worker = ?1 AND nonce = ?2)";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// SQLite could not read.
    #[error("the ledger cannot be read; `lobstah receipts audit` says whether it is damaged")]
    Sqlite(#[from] rusqlite::Error),
    /// The ledger was closed before the question's turn.
    #[error("the ledger is closed")]
    Closed,
}

/// A read-only view of a ledger, current at every question.
pub struct Reader {
    pub(crate) conn: Connection,
}

/// What [`Reader::each`] meets, oldest first.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// An entry.
    Entry(Entry),
    /// Entries whose part of the file is damaged.
    Unreadable {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
}

impl Reader {
    /// Opens an existing ledger.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { conn: connection::open_reading(path)? })
    }

    /// The sums over all accounts.
    pub fn totals(&self) -> Result<Totals, QueryError> {
        let row = self.conn.prepare_cached(TOTALS)?.query_row([], account).optional()?;
        let Account { earned, spent, receipts } = row.unwrap_or_default();
        Ok(Totals { earned, spent, receipts })
    }

    /// One key's account; empty if no receipt names it.
    pub fn account(&self, who: Requester) -> Result<Account, QueryError> {
        let row = self.conn.prepare_cached(ACCOUNT)?.query_row([key_of(&who)], account).optional()?;
        Ok(row.unwrap_or_default())
    }

    /// The accounts with the most receipts first. Looks at every account, of which there are far
    /// fewer than receipts. A row whose key is damaged is left to the audit.
    pub fn accounts(&self, limit: usize) -> Result<Vec<(Requester, Account)>, QueryError> {
        let mut accounts = self.conn.prepare_cached(ACCOUNTS)?;
        let mut rows = accounts.query([integer(limit as u64)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(who) = row.get_ref(3)?.as_bytes().ok().and_then(key_from) {
                found.push((who, account(row)?));
            }
        }
        Ok(found)
    }

    /// The newest `limit` entries, newest first.
    pub fn last(&self, limit: usize) -> Result<Vec<Entry>, QueryError> {
        let mut last = self.conn.prepare_cached(LAST)?;
        let entries =
            last.query_map([integer(limit as u64)], |row| Ok(self.entry(row.get(0)?, row, [1, 2, 3])))?;
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// The oldest `limit` entries behind `after`, oldest first.
    pub fn after(&self, after: u64, limit: usize) -> Result<Vec<Entry>, QueryError> {
        let mut next = self.conn.prepare_cached(AFTER)?;
        let bounds = [integer(after), integer(limit as u64)];
        let entries = next.query_map(bounds, |row| Ok(self.entry(row.get(0)?, row, [1, 2, 3])))?;
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// The number of the newest entry; 0 where there is none.
    pub fn newest(&self) -> Result<u64, QueryError> {
        Ok(self.last(1)?.first().map_or(0, |entry| entry.seq))
    }

    /// The number of receipts.
    pub fn count(&self) -> Result<u64, QueryError> {
        Ok(self.totals()?.receipts)
    }

    /// Whether a receipt of this worker with this nonce is kept.
    pub fn seen(&self, worker: NodeId, nonce: Nonce) -> Result<bool, QueryError> {
        let mut seen = self.conn.prepare_cached(SEEN)?;
        Ok(seen.query_row(params![worker.as_bytes(), nonce.0], |row| row.get(0))?)
    }

    /// Gives every entry to `each`, oldest first, in constant memory, past damaged places too. What
    /// is appended meanwhile is included. Ends at the first error of `each`.
    pub fn each<E>(&self, mut each: impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        const COLUMNS: &str = "signed, origin, posted_at";
        scan(&self.conn, Table::Entry, COLUMNS, 1..=i64::MAX, |step| match step {
            Step::Row(seq, row) => each(Found::Entry(self.entry(seq, row, [1, 2, 3]))),
            Step::Unreadable(lost) => each(Found::Unreadable { from: *lost.start(), to: *lost.end() }),
        })
    }

    /// One entry, from the places of signed, origin and posted_at. Damaged fields do not hide it.
    fn entry(&self, seq: i64, row: &Row<'_>, [signed, origin, posted_at]: [usize; 3]) -> Entry {
        let bytes = row.get_ref(signed).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default();
        Entry {
            seq: seq as u64,
            signed: String::from_utf8_lossy(bytes).into_owned(),
            // What is known least about, where the code is damaged.
            origin: row.get(origin).ok().and_then(Origin::from_code).unwrap_or(Origin::Imported),
            posted_at: Timestamp::from_millis(natural(row, posted_at).unwrap_or_default()),
            state: self.state(seq as u64),
        }
    }
}

pub(crate) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { earned: natural(row, 0)?, spent: natural(row, 1)?, receipts: natural(row, 2)? })
}
