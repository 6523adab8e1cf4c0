//! Taking a job on.

use super::{Lent, key_of, state};
use crate::{
    endpoint::Endpoint,
    id,
    limits::{self, LENT_WAITS_MS},
    metadata::Metadata,
    step::Step,
    store::{
        error::StoreError,
        tx::{Tx, integer},
    },
};
use protocol::{ModelName, Requester, Timestamp};
use rusqlite::params;

/// For whom a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// For this node's owner: before all others, and not counted with them.
    Own,
    /// For another.
    Other(Requester),
}

/// The order that a job came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LentOrder {
    /// Its `orderId`, which becomes the job's id: so whoever ordered finds it again.
    pub id: String,
    /// `{"order","signature"}`, as it came.
    pub signed: String,
    /// Its hash, by which acknowledgements name it.
    pub sha256: [u8; 32],
    /// Its `answerBy`.
    pub answer_by: Option<Timestamp>,
}

/// A job to be queued. Whether its order is good and its credit suffices was checked before.
#[derive(Clone, Debug)]
pub struct NewLent {
    /// Who asks.
    pub whose: Whose,
    /// With which order; without one the job gets a random id.
    pub order: Option<LentOrder>,
    /// What it asks for.
    pub endpoint: Endpoint,
    /// As asked.
    pub model: ModelName,
    /// What is given back with its record.
    pub metadata: Metadata,
    /// The request, byte for byte.
    pub body: Vec<u8>,
}

/// How much may wait; the owner sets it. The default is in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentLimits {
    /// Jobs of others that wait.
    pub queued_max: u64,
    /// The same of one requester.
    pub queued_each_max: u64,
    /// Bytes of bodies and of results that were not acknowledged.
    pub bytes_max: u64,
    /// The same of one requester.
    pub bytes_each_max: u64,
}

impl Default for LentLimits {
    fn default() -> Self {
        Self {
            queued_max: limits::LENT_QUEUED_MAX,
            queued_each_max: limits::LENT_QUEUED_EACH_MAX,
            bytes_max: limits::LENT_BYTES_MAX,
            bytes_each_max: limits::LENT_BYTES_EACH_MAX,
        }
    }
}

/// Why a job is not taken on.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// 429.
    #[error("the worker has as many jobs waiting as it takes, try another or come again")]
    QueueFull,
    /// 429.
    #[error("as many of your jobs are here as one requester may have, let some finish and acknowledge them")]
    YoursFull,
    /// 429.
    #[error("the worker keeps as many bytes of jobs as it may, acknowledge results or come again")]
    BytesFull,
    /// 409 `order_already_used`: another job has this order's id.
    #[error("another job has this order's id, sign a new order")]
    OrderUsed,
    /// Nothing was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Lent<'_> {
    /// Queues a job; durable when it resolves. Gives its id. The same order from the same requester
    /// again is the same job, however far that is.
    pub async fn submit(
        self,
        job: NewLent,
        limits: LentLimits,
        now: Timestamp,
    ) -> Result<String, SubmitError> {
        let id = match &job.order {
            Some(order) => order.id.clone(),
            None => id::uuid()?,
        };
        let keep = move |tx: &Tx<'_>| match refusal(tx, &job, &id, limits)? {
            Taken::New => insert(tx, &job, &id, now).map(|()| Ok(id.clone())),
            Taken::Before => Ok(Ok(id.clone())),
            Taken::Refused(why) => Ok(Err(why)),
        };
        self.work.write(Step::LentQueued, keep).await
    }
}

/// What is here already. Each reads only what waits or takes room, not the many that are kept to be known again.
mod here {
    pub(super) const QUEUED: &str = "SELECT count(*) FROM lent WHERE state = 0 AND own = 0";
    pub(super) const QUEUED_EACH: &str =
        "SELECT count(*) FROM lent WHERE state = 0 AND own = 0 AND requester = ?1";
    pub(super) const BYTES: &str = "SELECT coalesce(sum(bytes), 0) FROM lent WHERE bytes > 0";
    pub(super) const BYTES_EACH: &str =
        "SELECT coalesce(sum(bytes), 0) FROM lent WHERE bytes > 0 AND own = 0 AND requester = ?1";
}

enum Taken {
    New,
    Before,
    Refused(SubmitError),
}

fn refusal(tx: &Tx<'_>, job: &NewLent, id: &str, limits: LentLimits) -> rusqlite::Result<Taken> {
    const BEFORE: &str = "SELECT requester = ?2 AND own = ?3 AND coalesce(order_sha256 = ?4, 0) \
        FROM lent WHERE id = ?1";
    let (requester, own) = who(job.whose);
    let order = job.order.as_ref().map(|order| order.sha256);
    let before = params![id, key_of(&requester), own, order];
    match tx.one(BEFORE, before, |row| row.get(0))? {
        Some(true) => return Ok(Taken::Before),
        Some(false) => return Ok(Taken::Refused(SubmitError::OrderUsed)),
        None => {}
    }
    let bytes = job.body.len() as u64;
    if tx.number(here::BYTES, [])? + bytes > limits.bytes_max {
        return Ok(Taken::Refused(SubmitError::BytesFull));
    }
    if own {
        return Ok(Taken::New);
    }
    if tx.number(here::BYTES_EACH, [key_of(&requester)])? + bytes > limits.bytes_each_max {
        return Ok(Taken::Refused(SubmitError::YoursFull));
    }
    if tx.number(here::QUEUED_EACH, [key_of(&requester)])? >= limits.queued_each_max {
        return Ok(Taken::Refused(SubmitError::YoursFull));
    }
    if tx.number(here::QUEUED, [])? >= limits.queued_max {
        return Ok(Taken::Refused(SubmitError::QueueFull));
    }
    Ok(Taken::New)
}

fn insert(tx: &Tx<'_>, job: &NewLent, id: &str, now: Timestamp) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO lent (id, requester, own, state, bytes, answer_by, \
        created_at, model, metadata, signed_order, body, endpoint, order_sha256) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let (requester, own) = who(job.whose);
    let answer_by = job.order.as_ref().and_then(|order| order.answer_by);
    let answer_by = answer_by.map_or(now.as_millis() + LENT_WAITS_MS, Timestamp::as_millis);
    let row = params![
        id,
        key_of(&requester),
        own,
        state::QUEUED,
        job.body.len() as i64,
        integer(answer_by),
        integer(now.as_millis()),
        job.model.as_str(),
        job.metadata.to_column(),
        job.order.as_ref().map(|order| &order.signed),
        job.body,
        job.endpoint.code(),
        job.order.as_ref().map(|order| order.sha256),
    ];
    tx.run(INSERT, row).map(|_| ())
}

fn who(whose: Whose) -> (Requester, bool) {
    match whose {
        Whose::Own => (Requester::Anonymous, true),
        Whose::Other(requester) => (requester, false),
    }
}

#[cfg(test)]
mod tests {
    use super::here;
    use rusqlite::Connection;

    /// A worker keeps tens of thousands of jobs that are over; none of them is read when another comes.
    #[test]
    fn what_a_job_costs_to_take_on_does_not_grow_with_those_that_are_over() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(crate::lent::schema::TABLES).unwrap();
        let queries = [
            (here::QUEUED, "lent_queued"),
            (here::QUEUED_EACH, "lent_queued"),
            (here::BYTES, "lent_bytes"),
            (here::BYTES_EACH, "lent_bytes"),
        ];
        for (query, index) in queries {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let requester = vec![Some([7_u8; 32]); plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(requester), |row| row.get("detail"));
            let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
            let covered = format!("COVERING INDEX {index}");
            assert!(steps.iter().all(|step| step.contains(&covered)), "{query}: {steps:?}");
        }
    }
}
