//! How a batch gets on, for its owner: `lobstah batch run` shows it.

use super::{Batch, Batches, ask};
use crate::{
    limits::LISTED_MAX,
    store::{
        error::StoreError,
        tx::{View, moment, natural},
    },
};
use protocol::{Credits, Timestamp};
use rusqlite::params;

/// A batch, its money, and who works at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The batch itself: counts, tokens, times.
    pub batch: Batch,
    /// What it has spent, cut answers included.
    pub spent: Credits,
    /// What its open leases may cost.
    pub reserved: Credits,
    /// What tries may yet cost whose worker was not heard when their lease was closed.
    pub unheard: Credits,
    /// When the last of them was closed.
    pub unheard_at: Option<Timestamp>,
    /// What it may spend; `None` if it has no bound.
    pub max_credits: Option<Credits>,
    /// Who works at it, by name.
    pub workers: Vec<WorkerProgress>,
}

/// What one worker did and does. Two looks, and the time between them, give its speed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProgress {
    /// `lob1…`, `local` or an upstream's name.
    pub worker: String,
    /// Lines that have its answer.
    pub answered: u64,
    /// Lines that it was tried for in vain.
    pub failed: u64,
    /// Lines that it has now.
    pub in_flight: u64,
    /// Answers of which the prompt's opening was in its cache.
    pub warm: u64,
    /// Of prompts.
    pub input_tokens: u64,
    /// Of answers.
    pub output_tokens: u64,
    /// What it charged.
    pub credits: Credits,
    /// Of that, for what is no line's answer: it was cut, or another answered first.
    pub unused: Credits,
}

impl Batches<'_> {
    /// See [`Progress`].
    pub async fn progress(self, id: &str) -> Result<Option<Progress>, StoreError> {
        const ACCOUNT: &str = "SELECT seq, spent, reserved, max_credits, unheard, \
            (SELECT max(since) FROM unheard WHERE batch = seq) FROM batch WHERE id = ?1";
        let id = id.to_owned();
        let ask = move |view: View<'_>| {
            let Some(batch) = ask::one(&view, &id)? else { return Ok(None) };
            let account = view.one(ACCOUNT, [&id], |row| {
                let max: Option<i64> = row.get(3)?;
                let unheard = (Credits::saturating(natural(row, 4)?), moment(row, 5)?);
                Ok((row.get::<_, i64>(0)?, natural(row, 1)?, natural(row, 2)?, max, unheard))
            })?;
            let Some((seq, spent, reserved, max, (unheard, unheard_at))) = account else { return Ok(None) };
            Ok(Some(Progress {
                batch,
                spent: Credits::saturating(spent),
                reserved: Credits::saturating(reserved),
                unheard,
                unheard_at,
                max_credits: max.map(|max| Credits::saturating(max.unsigned_abs())),
                workers: workers(view, seq)?,
            }))
        };
        self.work.read(ask).await
    }
}

fn workers(view: View<'_>, batch: i64) -> rusqlite::Result<Vec<WorkerProgress>> {
    const WORKERS: &str = "SELECT worker, sum(answered), sum(failed), sum(running), sum(warm), sum(input), \
        sum(output), sum(credits), sum(unused) FROM \
        (SELECT worker, answered, failed, 0 AS running, warm, input_tokens AS input, output_tokens AS output, \
        credits, unused FROM served WHERE batch = ?1 \
        UNION ALL SELECT worker, 0, 0, 1, 0, 0, 0, 0, 0 FROM lease WHERE batch = ?1) \
        GROUP BY worker ORDER BY worker LIMIT ?2";
    view.all(WORKERS, params![batch, LISTED_MAX as i64], |row| {
        Ok(WorkerProgress {
            worker: row.get(0)?,
            answered: natural(row, 1)?,
            failed: natural(row, 2)?,
            in_flight: natural(row, 3)?,
            warm: natural(row, 4)?,
            input_tokens: natural(row, 5)?,
            output_tokens: natural(row, 6)?,
            credits: Credits::saturating(natural(row, 7)?),
            unused: Credits::saturating(natural(row, 8)?),
        })
    })
}
