//! What waits, in turns: one task of each batch, and of the jobs as one group; who was served longest ago
//! is first.

use super::{JOBS, TaskId, Tasks, in_turns};
use crate::{
    batches::Account,
    endpoint::Endpoint,
    limits::LISTED_MAX,
    opening::Opening,
    store::{
        error::StoreError,
        tx::{View, damaged, integer, moment, natural},
    },
};
use protocol::{Credits, ModelName, Timestamp};
use rusqlite::{Row, params};
use std::{collections::HashSet, sync::Arc};

/// What a scheduler can use now.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// At most so many tasks; never more than [`LISTED_MAX`].
    pub limit: usize,
    /// Models for which no worker is free, so that their tasks do not stand before others'.
    pub busy: HashSet<ModelName>,
}

/// A task that can be leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTask {
    /// Which.
    pub id: TaskId,
    /// What its batch allows; `None` for a job.
    pub terms: Option<Arc<BatchTerms>>,
    /// What it asks for.
    pub endpoint: Endpoint,
    /// Of which model.
    pub model: ModelName,
    /// Tasks of the same model with the same opening are quicker at the same worker.
    pub opening: Opening,
    /// Failures so far.
    pub attempts: u32,
    /// Of the request, or of the line that holds it.
    pub bytes: u64,
}

/// What a batch allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTerms {
    /// `batch_…`
    pub id: String,
    /// `metadata.to`
    pub to: Option<Vec<String>>,
    /// What it may still spend beside what its open leases and tries that nobody heard of may cost; `None` if it
    /// has no bound.
    pub left: Option<Credits>,
    /// What its open leases may cost; what they do not use is left again.
    pub reserved: Credits,
    /// When a try of it was last closed whose worker was not heard: what that does not cost is left again.
    pub unheard_at: Option<Timestamp>,
    /// `metadata.hedge`
    pub hedge: bool,
    /// When its time is over.
    pub expires_at: Timestamp,
}

/// A batch, or the jobs.
struct Group {
    seq: i64,
    turn: i64,
    terms: Option<Arc<BatchTerms>>,
}

impl Tasks<'_> {
    /// Tasks that may be leased now, in the order in which they should be. Reads no bodies.
    pub async fn waiting(self, wanted: Wanted, now: Timestamp) -> Result<Vec<WaitingTask>, StoreError> {
        self.work.read(move |view| waiting(view, &wanted, now)).await
    }
}

impl Tasks<'_> {
    /// A task by its id, whether it waits or runs; `None` if it is forgotten.
    pub async fn one(self, id: TaskId) -> Result<Option<WaitingTask>, StoreError> {
        const TASK: &str = "SELECT endpoint, model, opening, attempts, bytes FROM task \
            JOIN lane ON lane.id = task.lane WHERE task.batch = ?1 AND line = ?2";
        let ask = move |view: View<'_>| {
            let terms = match id.is_job() {
                true => None,
                false => view.one(&format!("SELECT {GROUP} FROM batch WHERE seq = ?1"), [id.batch], group)?,
            };
            view.one(TASK, [id.batch, id.line], |row| {
                Ok(WaitingTask {
                    id,
                    terms: terms.as_ref().and_then(|group| group.terms.clone()),
                    endpoint: Endpoint::from_code(row.get(0)?).ok_or_else(|| damaged(0))?,
                    model: row.get::<_, String>(1)?.parse().map_err(|_| damaged(1))?,
                    opening: Opening(row.get::<_, i64>(2)?.cast_unsigned()),
                    attempts: row.get(3)?,
                    bytes: natural(row, 4)?,
                })
            })
        };
        self.work.read(ask).await
    }
}

fn waiting(view: View<'_>, wanted: &Wanted, now: Timestamp) -> rusqlite::Result<Vec<WaitingTask>> {
    let limit = wanted.limit.min(LISTED_MAX);
    let groups = groups(view)?;
    // First as much of each as it gets if all have enough; then as much as there is.
    for share in [limit.div_ceil(groups.len().max(1)), limit] {
        let lists = groups.iter().map(|group| of_group(view, group, wanted, share, now));
        let lists = lists.collect::<rusqlite::Result<Vec<_>>>()?;
        let some_have_more = lists.iter().any(|list| list.len() >= share);
        let taken = in_turns(lists, limit);
        if taken.len() == limit || !some_have_more || share == limit {
            return Ok(taken);
        }
    }
    Ok(Vec::new())
}

/// Those that have something to do, who was served longest ago first.
fn groups(view: View<'_>) -> rusqlite::Result<Vec<Group>> {
    const JOBS_TURN: &str = "SELECT jobs FROM clock";
    let open = format!("SELECT {GROUP} FROM batch WHERE open = 1 ORDER BY turn LIMIT ?1");
    let mut groups = view.all(&open, [LISTED_MAX as i64], group)?;
    let turn = view.one(JOBS_TURN, [], |row| row.get(0))?.unwrap_or_default();
    groups.push(Group { seq: JOBS, turn, terms: None });
    groups.sort_by_key(|group| (group.turn, group.seq));
    Ok(groups)
}

/// What [`group`] reads.
const GROUP: &str = "seq, turn, id, destinations, max_credits, spent, reserved, unheard, hedge, expires_at, \
    (SELECT max(since) FROM unheard WHERE unheard.batch = seq)";

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let to: Option<String> = row.get(3)?;
    let max: Option<i64> = row.get(4)?;
    let account = Account {
        max: max.map(|max| Credits::saturating(max.unsigned_abs())),
        spent: natural(row, 5)?,
        reserved: natural(row, 6)?,
        unheard: natural(row, 7)?,
    };
    let terms = BatchTerms {
        id: row.get(2)?,
        to: to.and_then(|to| serde_json::from_str(&to).ok()),
        left: account.left(),
        reserved: Credits::saturating(account.reserved),
        unheard_at: moment(row, 10)?,
        hedge: row.get(8)?,
        expires_at: Timestamp::from_millis(natural(row, 9)?),
    };
    Ok(Group { seq: row.get(0)?, turn: row.get(1)?, terms: Some(Arc::new(terms)) })
}

/// A group's tasks, whatever their models: in the order of lines (of jobs: as they came), then by when they
/// may be tried again.
fn of_group(
    view: View<'_>,
    group: &Group,
    wanted: &Wanted,
    limit: usize,
    now: Timestamp,
) -> rusqlite::Result<Vec<WaitingTask>> {
    const LANES: &str = "SELECT id, endpoint, model FROM lane WHERE batch = ?1 AND code IS NULL";
    let lanes = view.all(LANES, [group.seq], |row| {
        let endpoint = Endpoint::from_code(row.get(1)?).ok_or_else(|| damaged(1))?;
        let model: ModelName = row.get::<_, String>(2)?.parse().map_err(|_| damaged(2))?;
        Ok((row.get::<_, i64>(0)?, endpoint, model))
    })?;
    let lists = lanes
        .iter()
        .filter(|(_, _, model)| !wanted.busy.contains(model))
        .map(|(lane, endpoint, model)| of_lane(view, group, *lane, (*endpoint, model), limit, now));
    let mut tasks = lists.collect::<rusqlite::Result<Vec<_>>>()?.concat();
    tasks.sort_by_key(|(not_before, task)| (*not_before, task.id));
    tasks.truncate(limit);
    Ok(tasks.into_iter().map(|(_, task)| task).collect())
}

/// With when each may be tried: 0 for what was never tried.
fn of_lane(
    view: View<'_>,
    group: &Group,
    lane: i64,
    (endpoint, model): (Endpoint, &ModelName),
    limit: usize,
    now: Timestamp,
) -> rusqlite::Result<Vec<(i64, WaitingTask)>> {
    const WAITING: &str = "SELECT batch, line, opening, attempts, bytes, not_before FROM task \
        WHERE lane = ?1 AND state = 0 AND not_before <= ?2 ORDER BY not_before, line LIMIT ?3";
    let wanted = params![lane, integer(now.as_millis()), integer(limit as u64)];
    view.all(WAITING, wanted, |row| {
        let task = WaitingTask {
            id: TaskId { batch: row.get(0)?, line: row.get(1)? },
            terms: group.terms.clone(),
            endpoint,
            model: model.clone(),
            opening: Opening(row.get::<_, i64>(2)?.cast_unsigned()),
            attempts: row.get(3)?,
            bytes: natural(row, 4)?,
        };
        Ok((row.get(5)?, task))
    })
}
