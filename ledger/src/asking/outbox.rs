//! Acknowledgements of ours that their worker does not have yet.
//!
//! What waits is a row each; how often a worker was tried, and when it is tried next, is one row for each
//! worker: it is reached with all that waits for it, or not at all.

use crate::{
    append::Append,
    column::{integer, natural},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{NodeId, Timestamp, limits::ACKS_MAX};
use rusqlite::{Connection, params};

const PUT: &str = "INSERT INTO outbox (seq, who) VALUES (?1, ?2)";
const CALL: &str = "INSERT INTO courier (who, due, tries) VALUES (?1, ?2, 0) ON CONFLICT (who) DO NOTHING";
const DUE: &str = "SELECT who, tries FROM courier WHERE due <= ?1 ORDER BY due LIMIT ?2";
const OF: &str = "SELECT outbox.seq, journal.signed FROM outbox JOIN journal ON journal.seq = outbox.seq \
    WHERE outbox.who = ?1 ORDER BY outbox.seq LIMIT ?2";
const DELIVERED: &str = "DELETE FROM outbox WHERE seq = ?1 AND who = ?2";
const NEXT: &str = "UPDATE courier SET due = ?2, tries = 0 WHERE who = ?1";
const DONE: &str =
    "DELETE FROM courier WHERE who = ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.who = ?1)";
const FAILED: &str = "UPDATE courier SET due = ?2, tries = tries + 1 WHERE who = ?1";

/// Acknowledgements that are due at one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckBatch {
    /// Who is to have them.
    pub worker: NodeId,
    /// What each is called here, in the order of the body.
    pub ids: Vec<u64>,
    /// The body of `POST /v1/receipts/ack`: at most [`ACKS_MAX`] of them.
    pub body: String,
    /// How often in a row it was tried in vain.
    pub tries: u32,
}

pub(super) fn put(conn: &Connection, seq: u64, who: Party, now: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(PUT)?.execute(params![integer(seq), who])?;
    conn.prepare_cached(CALL)?.execute(params![who, integer(now.as_millis())])?;
    Ok(())
}

/// See [`crate::Reader::due`].
pub(crate) fn due(conn: &Connection, now: Timestamp, workers_max: usize) -> rusqlite::Result<Vec<AckBatch>> {
    let mut due = conn.prepare_cached(DUE)?;
    let workers = due.query_map([integer(now.as_millis()), integer(workers_max as u64)], |row| {
        Ok((row.get::<_, Party>(0)?, row.get(1)?))
    })?;
    let mut batches = Vec::new();
    for worker in workers {
        let (who, tries) = worker?;
        let Some(worker) = who.node() else { continue };
        let (ids, acks) = waiting(conn, who)?;
        if !ids.is_empty() {
            batches.push(AckBatch {
                worker,
                ids,
                body: format!(r#"{{"acks":[{}]}}"#, acks.join(",")),
                tries,
            });
        }
    }
    Ok(batches)
}

fn waiting(conn: &Connection, who: Party) -> rusqlite::Result<(Vec<u64>, Vec<String>)> {
    let mut of = conn.prepare_cached(OF)?;
    let rows = of.query_map(params![who, ACKS_MAX as i64], |row| Ok((natural(row, 0)?, row.get(1)?)))?;
    rows.collect()
}

/// The worker has answered for these, whatever it said.
pub(crate) struct Delivered {
    pub(crate) worker: NodeId,
    pub(crate) ids: Vec<u64>,
    pub(crate) now: Timestamp,
}

impl Work for Delivered {
    type Done = ();
    type Refused = Unwritten;
    // What a power cut forgets is delivered again, which changes nothing there.
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), Unwritten>> {
        let (conn, who) = (books.conn(), Party::Node(self.worker));
        let mut delivered = conn.prepare_cached(DELIVERED)?;
        for id in &self.ids {
            delivered.execute(params![integer(*id), who])?;
        }
        if conn.prepare_cached(DONE)?.execute([who])? == 0 {
            conn.prepare_cached(NEXT)?.execute(params![who, integer(self.now.as_millis())])?;
        }
        Ok(Ok(()))
    }
}

/// The worker could not be reached.
pub(crate) struct Failed {
    pub(crate) worker: NodeId,
    pub(crate) retry_at: Timestamp,
}

impl Work for Failed {
    type Done = ();
    type Refused = Unwritten;
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), Unwritten>> {
        let retry_at = integer(self.retry_at.as_millis());
        books.conn().prepare_cached(FAILED)?.execute(params![Party::Node(self.worker), retry_at])?;
        Ok(Ok(()))
    }
}
