//! Standings and pools within one transaction: read once, changed in memory, written at its end.

use crate::{
    column::{integer, natural},
    journal::Step,
    party::Party,
    standing::{Drawn, Pool, Standing},
};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;

/// In the order of [`Standing::named`], from index 0; `who` follows.
pub(crate) const COLUMNS: &str = "open_orders, reserved, claims, claimed, disputed, settled_orders, earned, \
    awaited_orders, ordered, spent, refused, paid_to_me, paid_by_me, blocked, lent";
const STORE: &str = "INSERT OR REPLACE INTO standing (open_orders, reserved, claims, claimed, disputed, \
    settled_orders, earned, awaited_orders, ordered, spent, refused, paid_to_me, paid_by_me, blocked, lent, who) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
const DRAWN: &str = "SELECT credits, requests FROM pool WHERE kind = ?1 AND day = ?2";
const STORE_POOL: &str = "INSERT OR REPLACE INTO pool (kind, day, credits, requests) VALUES (?1, ?2, ?3, ?4)";

#[derive(Default)]
pub(super) struct Sums {
    standings: HashMap<Party, Changed<Standing>>,
    pools: HashMap<(Pool, u64), Changed<Drawn>>,
}

#[derive(Clone, Copy)]
struct Changed<T> {
    value: T,
    changed: bool,
}

impl Sums {
    pub(super) fn standing(&mut self, conn: &Connection, who: Party) -> rusqlite::Result<Standing> {
        if let Some(known) = self.standings.get(&who) {
            return Ok(known.value);
        }
        let value = read(conn, who)?;
        self.standings.insert(who, Changed { value, changed: false });
        Ok(value)
    }

    pub(super) fn drawn(&mut self, conn: &Connection, pool: Pool, day: u64) -> rusqlite::Result<Drawn> {
        if let Some(known) = self.pools.get(&(pool, day)) {
            return Ok(known.value);
        }
        let value = read_drawn(conn, pool, day)?;
        self.pools.insert((pool, day), Changed { value, changed: false });
        Ok(value)
    }

    /// Reads what `step` moves, so that applying it cannot fail.
    pub(super) fn prepare(&mut self, conn: &Connection, step: &Step<'_>) -> rusqlite::Result<()> {
        self.standing(conn, step.who)?;
        if step.day > 0 {
            self.drawn(conn, Pool::of(step.who), step.day)?;
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, step: &Step<'_>) {
        if let Some(known) = self.standings.get_mut(&step.who) {
            let before = known.value;
            known.value.apply(step);
            known.changed |= known.value != before;
        }
        if let Some(known) = self.pools.get_mut(&(Pool::of(step.who), step.day)).filter(|_| step.day > 0) {
            let before = known.value;
            known.value.apply(step);
            known.changed |= known.value != before;
        }
    }

    pub(super) fn store(&self, conn: &Connection) -> rusqlite::Result<()> {
        for (who, standing) in self.standings.iter().filter(|(_, standing)| standing.changed) {
            store(conn, *who, &standing.value)?;
        }
        for ((pool, day), drawn) in self.pools.iter().filter(|(_, drawn)| drawn.changed) {
            let Drawn { credits, requests } = drawn.value;
            let [day, credits, requests] = [*day, credits, requests].map(integer);
            conn.prepare_cached(STORE_POOL)?.execute([pool.code(), day, credits, requests])?;
        }
        Ok(())
    }
}

/// A party's standing; nothing in it where there never was one.
pub(crate) fn read(conn: &Connection, who: Party) -> rusqlite::Result<Standing> {
    let sql = format!("SELECT {COLUMNS} FROM standing WHERE who = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([who], from_row).optional()?.unwrap_or_default())
}

/// What was drawn from a pool on a day.
pub(crate) fn read_drawn(conn: &Connection, pool: Pool, day: u64) -> rusqlite::Result<Drawn> {
    let drawn = conn.prepare_cached(DRAWN)?.query_row([pool.code(), integer(day)], |row| {
        Ok(Drawn { credits: natural(row, 0)?, requests: natural(row, 1)? })
    });
    Ok(drawn.optional()?.unwrap_or_default())
}

/// From the columns of [`COLUMNS`].
pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let lent = match row.get_ref(14)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(natural(row, 14)?),
    };
    Ok(Standing {
        open_orders: natural(row, 0)?,
        reserved: natural(row, 1)?,
        claims: natural(row, 2)?,
        claimed: natural(row, 3)?,
        disputed: natural(row, 4)?,
        settled_orders: natural(row, 5)?,
        earned: natural(row, 6)?,
        awaited_orders: natural(row, 7)?,
        ordered: natural(row, 8)?,
        spent: natural(row, 9)?,
        refused: natural(row, 10)?,
        paid_to_me: natural(row, 11)?,
        paid_by_me: natural(row, 12)?,
        blocked: row.get(13)?,
        lent,
    })
}

pub(crate) fn store(conn: &Connection, who: Party, standing: &Standing) -> rusqlite::Result<()> {
    let mut store = conn.prepare_cached(STORE)?;
    let sums = standing.named();
    for (place, (_, sum)) in sums.iter().enumerate() {
        store.raw_bind_parameter(place + 1, sum.map(integer))?;
    }
    store.raw_bind_parameter(sums.len() + 1, who)?;
    store.raw_execute()?;
    Ok(())
}
