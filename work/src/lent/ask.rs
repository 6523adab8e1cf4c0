//! What can be asked of the queue.

use super::{Lent, Whose, claim, key_from, state};
use crate::{
    job_record::{JobError, JobRecord, JobStatus, raw},
    limits::LISTED_MAX,
    metadata::Metadata,
    store::{
        error::StoreError,
        tx::{View, damaged, integer, moment, natural},
    },
};
use protocol::Timestamp;
use rusqlite::Row;

/// A job as its requester may see it, and who that is.
#[derive(Clone, Debug)]
pub struct LentView {
    /// Whose it is. One that came with an order is shown to its requester alone.
    pub whose: Whose,
    /// The hash of the order that it came with, whatever was forgotten since.
    pub order_sha256: Option<[u8; 32]>,
    /// It has ended, and nobody has said yet that its receipt stands in the ledger: who saw it now could
    /// acknowledge what the ledger does not know.
    pub claim_due: bool,
    /// What polling says.
    pub record: JobRecord,
}

impl LentView {
    /// Whether it came with an order.
    pub fn ordered(&self) -> bool {
        self.order_sha256.is_some()
    }
}

/// How many jobs there are, for `GET /capacity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LentCounts {
    /// Waiting.
    pub queued: u64,
    /// Being run.
    pub running: u64,
    /// Ended with a result, and still remembered.
    pub done: u64,
    /// Ended without.
    pub error: u64,
}

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its name.
    pub id: String,
    /// Who asked.
    pub whose: Whose,
    /// The signed order, as it came.
    pub order: Option<String>,
}

/// A job whose receipt may not be in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclaimed {
    /// The job.
    pub id: String,
    /// The signed order that the receipt answers.
    pub order: Option<String>,
    /// `{"receipt","signature"}`.
    pub receipt: String,
}

impl Lent<'_> {
    /// A job by its id. `None` if it is not known, or was forgotten.
    pub async fn get(self, id: &str) -> Result<Option<LentView>, StoreError> {
        const GET: &str = "SELECT own, requester, id, state, created_at, started_at, ended_at, result, \
            error_type, error_message, metadata, receipt, order_sha256, claim FROM lent WHERE id = ?1";
        let id = id.to_owned();
        self.work.read(move |view| view.one(GET, [id], shown)).await
    }

    /// See [`LentCounts`].
    pub async fn counts(self) -> Result<LentCounts, StoreError> {
        const COUNTS: &str = "SELECT state, count(*) FROM lent GROUP BY state";
        let rows =
            self.work.read(|view| view.all(COUNTS, [], |row| Ok((row.get::<_, i64>(0)?, natural(row, 1)?))));
        let mut counts = LentCounts::default();
        for (state, count) in rows.await? {
            match state {
                state::QUEUED => counts.queued = count,
                state::RUNNING => counts.running = count,
                state::DONE => counts.done = count,
                _ => counts.error = count,
            }
        }
        Ok(counts)
    }

    /// Whether a job may be begun now. It costs less than [`Lent::next`], which writes.
    pub async fn waits(self, now: Timestamp) -> Result<bool, StoreError> {
        const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM lent WHERE state = 0 AND held_until <= ?1)";
        let now = integer(now.as_millis());
        Ok(self.work.read(move |view| view.number(WAITS, [now])).await? == 1)
    }

    /// All jobs that wait: after a start, what was reserved for them is to be reserved again.
    pub async fn queued(self) -> Result<Vec<Queued>, StoreError> {
        const QUEUED: &str =
            "SELECT id, own, requester, signed_order FROM lent WHERE state = 0 ORDER BY seq LIMIT ?1";
        let read = |row: &Row<'_>| {
            let requester = key_from(row.get_ref(2)?.as_bytes()?);
            let whose = if row.get(1)? { Whose::Own } else { Whose::Other(requester) };
            Ok(Queued { id: row.get(0)?, whose, order: row.get(3)? })
        };
        self.work.read(move |view| view.all(QUEUED, [LISTED_MAX as i64], read)).await
    }

    /// Those of `ids` that have ended, or were forgotten.
    pub async fn over(self, ids: Vec<String>) -> Result<Vec<String>, StoreError> {
        const ALIVE: &str = "SELECT EXISTS (SELECT 1 FROM lent WHERE id = ?1 AND state <= 1)";
        let look = move |view: View<'_>| {
            let mut over = Vec::new();
            for id in ids {
                if view.number(ALIVE, [&id])? == 0 {
                    over.push(id);
                }
            }
            Ok(over)
        };
        self.work.read(look).await
    }

    /// Jobs that ended with a receipt of which nobody said that it is claimed: to be claimed again after
    /// a start.
    pub async fn unclaimed(self) -> Result<Vec<Unclaimed>, StoreError> {
        const UNCLAIMED: &str =
            "SELECT id, signed_order, receipt FROM lent WHERE claim = 1 ORDER BY seq LIMIT ?1";
        let read =
            |row: &Row<'_>| Ok(Unclaimed { id: row.get(0)?, order: row.get(1)?, receipt: row.get(2)? });
        self.work.read(move |view| view.all(UNCLAIMED, [LISTED_MAX as i64], read)).await
    }

    /// Jobs of this process that are to be cut: whoever cancelled them may have asked another process.
    pub async fn to_cut(self) -> Result<Vec<String>, StoreError> {
        const TO_CUT: &str = "SELECT id FROM lent WHERE state = 1 AND instance = ?1 AND cancel = 1";
        let me = self.work.me();
        self.work.read(move |view| view.all(TO_CUT, [me], |row| row.get(0))).await
    }
}

fn shown(row: &Row<'_>) -> rusqlite::Result<LentView> {
    let own: bool = row.get(0)?;
    let requester = key_from(row.get_ref(1)?.as_bytes()?);
    let kind: Option<String> = row.get(8)?;
    let message: Option<String> = row.get(9)?;
    let record = JobRecord {
        job_id: row.get(2)?,
        status: match row.get(3)? {
            state::QUEUED => JobStatus::Queued,
            state::RUNNING => JobStatus::Running,
            state::DONE => JobStatus::Done,
            state::FAILED => JobStatus::Error,
            _ => return Err(damaged(3)),
        },
        created_at: Timestamp::from_millis(natural(row, 4)?),
        started_at: moment(row, 5)?,
        completed_at: moment(row, 6)?,
        result: raw(row.get(7)?),
        error: kind.map(|kind| JobError { kind, message: message.unwrap_or_default() }),
        metadata: Metadata::from_column(row.get(10)?),
        signed_receipt: raw(row.get(11)?),
    };
    let whose = if own { Whose::Own } else { Whose::Other(requester) };
    let claim_due = row.get::<_, i64>(13)? == claim::DUE;
    Ok(LentView { whose, order_sha256: row.get(12)?, claim_due, record })
}
