//! All that a batch, or the jobs, ask of one model.

use super::{Tasks, state};
use crate::{
    batches::{self, Event, StopError},
    endpoint::Endpoint,
    limits::ERROR_BYTES_MAX,
    step::Step,
    store::tx::Tx,
};
use protocol::{ModelName, Timestamp};
use rusqlite::params;

/// The number of a lane, which is made where there is none.
pub(crate) fn lane(tx: &Tx<'_>, batch: i64, endpoint: Endpoint, model: &ModelName) -> rusqlite::Result<i64> {
    const FIND: &str = "SELECT id FROM lane WHERE batch = ?1 AND endpoint = ?2 AND model = ?3";
    const MAKE: &str = "INSERT INTO lane (batch, endpoint, model) VALUES (?1, ?2, ?3)";
    let key = params![batch, endpoint.code(), model.as_str()];
    if let Some(id) = tx.one(FIND, key, |row| row.get(0))? {
        return Ok(id);
    }
    tx.run(MAKE, params![batch, endpoint.code(), model.as_str()])?;
    Ok(tx.inserted())
}

/// With what the tasks of a lane have failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl LaneError {
    /// Of a task's lane, if there is one.
    pub(crate) fn of(tx: &Tx<'_>, lane: i64) -> rusqlite::Result<Option<Self>> {
        const FIND: &str = "SELECT code, message FROM lane WHERE id = ?1 AND code IS NOT NULL";
        tx.one(FIND, [lane], |row| Ok(Self { code: row.get(0)?, message: row.get(1)? }))
    }
}

impl Tasks<'_> {
    /// Nobody has this model: fails all lines of a batch that wait for it, and those that will. Those
    /// that run may still be answered.
    pub async fn fail_model(
        self,
        batch: &str,
        model: &ModelName,
        (code, message): (&str, &str),
        now: Timestamp,
    ) -> Result<(), StopError> {
        let (id, model) = (batch.to_owned(), model.clone());
        let error = LaneError { code: shortened(code), message: shortened(message) };
        let fail = move |tx: &Tx<'_>| fail(tx, &id, &model, &error, now);
        self.work.write(Step::BatchStopped, fail).await
    }
}

fn fail(
    tx: &Tx<'_>,
    id: &str,
    model: &ModelName,
    error: &LaneError,
    now: Timestamp,
) -> rusqlite::Result<Result<(), StopError>> {
    const LANES: &str = "SELECT id FROM lane WHERE batch = ?1 AND model = ?2 AND code IS NULL";
    const WAITING: &str = "SELECT count(*) FROM task WHERE lane = ?1 AND state = ?2";
    const MARK: &str = "UPDATE lane SET code = ?2, message = ?3 WHERE id = ?1";
    let Some(mut row) = batches::load(tx, batches::Row::BY_ID, [id])? else {
        return Ok(Err(StopError::NotFound));
    };
    if !row.life.takes_leases() {
        return Ok(Err(StopError::NotNow(batches::NotNow { status: row.life.status })));
    }
    let lanes: Vec<i64> = tx.all(LANES, params![row.seq, model.as_str()], |row| row.get(0))?;
    for lane in lanes {
        let waiting = tx.number(WAITING, params![lane, state::WAITING])?;
        tx.run(MARK, params![lane, error.code, error.message])?;
        // The state was looked at above, and no more wait than are unanswered.
        let _ = row.life.on(Event::Failed(waiting), now);
    }
    batches::save(tx, &row, now)?;
    Ok(Ok(()))
}

/// An error's text, as much of it as is kept.
pub(super) fn shortened(text: &str) -> String {
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
