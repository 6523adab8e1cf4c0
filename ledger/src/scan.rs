//! Goes through all rows of a chain, oldest first, in constant memory and past damaged places.
//!
//! Reads a few hundred rows at a time, so that no long transaction keeps the write-ahead log from
//! being reused while the node goes on posting.

use crate::limits::SCAN_ROWS_MAX;
use rusqlite::{Connection, Row};
use std::ops::RangeInclusive;

/// What is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Entry,
    Journal,
}

/// What the scan comes to.
pub(crate) enum Step<'r> {
    /// A row: its `seq`, and the columns asked for, from index 1.
    Row(i64, &'r Row<'r>),
    /// A part of the file that cannot be read; rows of these numbers may have stood there.
    Unreadable(RangeInclusive<i64>),
}

/// Gives `each` the `columns` of the rows with a number in `span`.
pub(crate) fn scan<E>(
    conn: &Connection,
    table: Table,
    columns: &str,
    span: RangeInclusive<i64>,
    mut each: impl FnMut(Step<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let table = match table {
        Table::Entry => "entry",
        Table::Journal => "journal",
    };
    let sql = format!(
        "SELECT seq, {columns} FROM {table} WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT {SCAN_ROWS_MAX}"
    );
    let end = *span.end();
    let mut gap = Gap::default();
    let mut next = Some(*span.start());
    while let Some(start) = next.filter(|next| *next <= end) {
        let page = read_page(conn, &sql, start..=end, |seq, row| {
            if let Some(from) = gap.close() {
                each(Step::Unreadable(from..=seq - 1))?;
            }
            each(Step::Row(seq, row))
        })?;
        next = match page.last {
            Some(last) => last.checked_add(1),
            None => Some(start),
        };
        next = match page.end {
            PageEnd::More => next,
            PageEnd::NoMore => None,
            PageEnd::Damaged => next.and_then(|damaged| gap.step_over(damaged)),
        };
    }
    match gap.close() {
        Some(from) => each(Step::Unreadable(from..=end)),
        None => Ok(()),
    }
}

/// A damaged place that is being stepped over.
#[derive(Default)]
struct Gap {
    from: Option<i64>,
    tries: u32,
}

impl Gap {
    /// Where to try next: row by row at first, so that no good one is missed near the damage, then
    /// in leaps, so that it ends.
    fn step_over(&mut self, damaged: i64) -> Option<i64> {
        const SINGLE_STEPS: u32 = 64;
        self.from.get_or_insert(damaged);
        self.tries += 1;
        let leap = 1i64.checked_shl(self.tries.saturating_sub(SINGLE_STEPS)).filter(|leap| *leap > 0)?;
        damaged.checked_add(leap)
    }

    fn close(&mut self) -> Option<i64> {
        self.tries = 0;
        self.from.take()
    }
}

struct Page {
    last: Option<i64>,
    end: PageEnd,
}

enum PageEnd {
    More,
    NoMore,
    Damaged,
}

fn read_page<E>(
    conn: &Connection,
    sql: &str,
    span: RangeInclusive<i64>,
    mut each: impl FnMut(i64, &Row<'_>) -> Result<(), E>,
) -> Result<Page, E> {
    let mut page = Page { last: None, end: PageEnd::Damaged };
    let Ok(mut select) = conn.prepare_cached(sql) else { return Ok(page) };
    let Ok(mut rows) = select.query([span.start(), span.end()]) else { return Ok(page) };
    for _ in 0..SCAN_ROWS_MAX {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Page { end: PageEnd::NoMore, ..page }),
            Err(_) => return Ok(page),
        };
        let Ok(seq) = row.get(0) else { return Ok(page) };
        page.last = Some(seq);
        each(seq, row)?;
    }
    Ok(Page { end: PageEnd::More, ..page })
}
