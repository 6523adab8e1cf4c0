//! A transaction, and a look at the tables: SQL and nothing else.

use super::instance::Instance;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::ops::Deref;

/// A look at the tables, within a transaction or beside it.
#[derive(Clone, Copy)]
pub(crate) struct View<'c>(pub(crate) &'c Connection);

impl View<'_> {
    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.0.prepare_cached(sql)?.query_row(params, read).optional()
    }

    /// All rows. The query bounds them.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.0.prepare_cached(sql)?.query_map(params, read)?.collect()
    }

    /// One number; 0 where there is no row.
    pub(crate) fn number(&self, sql: &str, params: impl Params) -> rusqlite::Result<u64> {
        Ok(self.one(sql, params, |row| natural(row, 0))?.unwrap_or(0))
    }
}

/// An immediate transaction of this process.
pub(crate) struct Tx<'c> {
    view: View<'c>,
    me: &'c Instance,
}

impl<'c> Deref for Tx<'c> {
    type Target = View<'c>;

    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c Connection, me: &'c Instance) -> Self {
        Self { view: View(conn), me }
    }

    /// The number of this process.
    pub(crate) fn me(&self) -> i64 {
        self.me.id
    }

    /// The numbers of processes that died. The caller takes what they held and forgets them.
    pub(crate) fn dead(&self) -> rusqlite::Result<Vec<i64>> {
        self.me.dead(self.view.0)
    }

    /// Changes rows, and says how many.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.view.0.prepare_cached(sql)?.execute(params)
    }

    /// Gives free pages of the file back to the disk.
    pub(crate) fn free_pages(&self, pages_max: u32) -> rusqlite::Result<()> {
        // Each step of the statement gives one page back, and a row.
        let mut pages = self.view.0.prepare(&format!("PRAGMA incremental_vacuum({pages_max})"))?;
        let mut freed = pages.query([])?;
        while freed.next()?.is_some() {}
        Ok(())
    }

    /// The number of the row that was inserted last.
    pub(crate) fn inserted(&self) -> i64 {
        self.view.0.last_insert_rowid()
    }

    /// The next turn; see [`super::schema`].
    pub(crate) fn turn(&self) -> rusqlite::Result<i64> {
        const NEXT: &str = "UPDATE clock SET turn = turn + 1 RETURNING turn";
        Ok(self.one(NEXT, [], |row| row.get(0))?.unwrap_or_default())
    }
}

/// SQLite's integers are signed; nothing of ours comes near their end.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative, unless the row is damaged.
pub(crate) fn natural(row: &Row<'_>, place: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(place)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(place, value))
}

/// A time that may be absent.
pub(crate) fn moment(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<protocol::Timestamp>> {
    let value: Option<i64> = row.get(place)?;
    Ok(value.and_then(|ms| u64::try_from(ms).ok()).map(protocol::Timestamp::from_millis))
}

/// A code that no version of this program wrote.
pub(crate) fn damaged(place: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(place, "code".into(), rusqlite::types::Type::Integer)
}
