//! What can be asked of batches.

use super::{
    Batch, BatchUsage, Batches,
    lifecycle::{BatchStatus, Counts},
    object::{BatchErrors, InputDetails, OutputDetails},
};
use crate::{
    endpoint::Endpoint,
    files::{List, ListError, limit_of},
    limits::{BATCHES_LISTED, BATCHES_LISTED_MAX, LISTED_MAX},
    metadata::Metadata,
    store::{
        error::StoreError,
        tx::{View, damaged, natural},
    },
};
use rusqlite::{Row, params};

const COLUMNS: &str = "id, endpoint, model, errors, input_file, completion_window, status, output_file, error_file, \
    ended, created_at, in_progress_at, expires_at, finalizing_at, completed_at, failed_at, expired_at, \
    cancelling_at, cancelled_at, total, completed, failed, input_tokens, cached_tokens, output_tokens, \
    reasoning_tokens, metadata";

impl Batches<'_> {
    /// A batch by its id.
    pub async fn get(self, id: &str) -> Result<Option<Batch>, StoreError> {
        let id = id.to_owned();
        self.work.read(move |view| one(&view, &id)).await
    }

    /// A part of the list, the newest first: at most `limit` (20 if `None`) that come after `after`.
    pub async fn list(self, after: Option<String>, limit: Option<u32>) -> Result<List<Batch>, ListError> {
        const AFTER: &str = "SELECT seq FROM batch WHERE id = ?1";
        let limit = limit_of(limit, BATCHES_LISTED, BATCHES_LISTED_MAX)?;
        let sql = format!("SELECT {COLUMNS} FROM batch WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
        let ask = move |view: View<'_>| {
            let after = match &after {
                None => Some(i64::MAX),
                Some(id) => view.one(AFTER, [id], |row| row.get(0))?,
            };
            let Some(after) = after else { return Ok(None) };
            view.all(&sql, params![after, limit + 1], read).map(Some)
        };
        let found = self.work.read(ask).await?.ok_or(ListError::UnknownAfter)?;
        Ok(List::of(found, limit, |batch| batch.id.clone()))
    }

    /// Ids of batches whose lines are to be read: [`Batches::validate`].
    pub async fn to_validate(self) -> Result<Vec<String>, StoreError> {
        self.ids("SELECT id FROM batch WHERE status = 1 ORDER BY seq LIMIT ?1").await
    }

    /// Ids of batches whose files are to be written: [`Batches::write`].
    pub async fn to_write(self) -> Result<Vec<String>, StoreError> {
        self.ids("SELECT id FROM batch WHERE ready = 1 ORDER BY seq LIMIT ?1").await
    }

    async fn ids(self, sql: &'static str) -> Result<Vec<String>, StoreError> {
        self.work.read(move |view| view.all(sql, [LISTED_MAX as i64], |row| row.get(0))).await
    }
}

pub(super) fn one(view: &View<'_>, id: &str) -> rusqlite::Result<Option<Batch>> {
    view.one(&format!("SELECT {COLUMNS} FROM batch WHERE id = ?1"), [id], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Batch> {
    let seconds = |place| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(place)?.map(|ms| ms.unsigned_abs() / 1000))
    };
    let endpoint = Endpoint::from_code(row.get(1)?).ok_or_else(|| damaged(1))?;
    let errors: Option<String> = row.get(3)?;
    let ended: bool = row.get(9)?;
    let (input_tokens, output_tokens) = (natural(row, 22)?, natural(row, 24)?);
    Ok(Batch {
        id: row.get(0)?,
        object: "batch".to_owned(),
        endpoint: endpoint.path().to_owned(),
        model: row.get(2)?,
        errors: errors.and_then(|text| serde_json::from_str(&text).ok()).map(BatchErrors::new),
        input_file_id: row.get(4)?,
        completion_window: row.get(5)?,
        status: BatchStatus::from_code(row.get(6)?).ok_or_else(|| damaged(6))?,
        // Before its end these are only reserved.
        output_file_id: if ended { row.get(7)? } else { None },
        error_file_id: if ended { row.get(8)? } else { None },
        created_at: seconds(10)?.unwrap_or_default(),
        in_progress_at: seconds(11)?,
        expires_at: seconds(12)?,
        finalizing_at: seconds(13)?,
        completed_at: seconds(14)?,
        failed_at: seconds(15)?,
        expired_at: seconds(16)?,
        cancelling_at: seconds(17)?,
        cancelled_at: seconds(18)?,
        request_counts: Counts {
            total: natural(row, 19)?,
            completed: natural(row, 20)?,
            failed: natural(row, 21)?,
        },
        usage: BatchUsage {
            input_tokens,
            input_tokens_details: InputDetails { cached_tokens: natural(row, 23)? },
            output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: natural(row, 25)? },
            total_tokens: input_tokens.saturating_add(output_tokens),
        },
        metadata: Metadata::from_column(row.get(26)?),
    })
}
