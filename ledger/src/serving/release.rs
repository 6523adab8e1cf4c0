//! Reservations that end without a receipt: nobody pays.

use crate::{
    append::Append,
    exchange::{self, Exchange, Phase, Side},
    journal::{Kind, Step},
    limits::SWEEP_EVERY_MS,
    unwritten::Unwritten,
    work::Work,
};
use protocol::Timestamp;

/// Gives a reservation back. One that has ended already is left alone.
pub(crate) struct Release {
    pub(crate) seq: u64,
    pub(crate) now: Timestamp,
}

impl Work for Release {
    type Done = ();
    type Refused = Unwritten;
    // After a power cut it is found as a dead instance's.
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), Unwritten>> {
        if let Some(open) = exchange::get(books.conn(), self.seq)? {
            release(books, &open, self.now)?;
        }
        Ok(Ok(()))
    }
}

/// Gives the reservations of dead instances back, and says how many there were.
pub(crate) struct Sweep {
    pub(crate) now: Timestamp,
}

impl Work for Sweep {
    type Done = u64;
    type Refused = Unwritten;
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<u64, Unwritten>> {
        sweep(books, self.now).map(Ok)
    }
}

/// Sweeps if nobody did within the last second: for who is about to refuse an order.
pub(super) fn sweep_again(books: &mut Append<'_>, now: Timestamp) -> rusqlite::Result<bool> {
    let due = books.keeper().sweep_is_due(now, SWEEP_EVERY_MS);
    Ok(due && sweep(books, now)? > 0)
}

fn sweep(books: &mut Append<'_>, now: Timestamp) -> rusqlite::Result<u64> {
    let mut released = 0;
    let conn = books.conn();
    for dead in books.keeper().dead(conn)? {
        for open in exchange::run_by(conn, dead)? {
            release(books, &open, now)?;
            released += 1;
        }
        conn.prepare_cached("DELETE FROM instance WHERE id = ?1")?.execute([dead])?;
    }
    Ok(released)
}

fn release(books: &mut Append<'_>, open: &Exchange, now: Timestamp) -> rusqlite::Result<()> {
    if open.side != Side::Served || open.phase != Phase::Open {
        return Ok(());
    }
    let Exchange { seq, who, reserved, pool, day, .. } = *open;
    let released = Step { about: seq, reserved, pool, day, ..Step::new(Kind::Released, now, who) };
    let changed = books.record(&released)?;
    exchange::to_phase(books.conn(), seq, Phase::Gone, changed)
}
