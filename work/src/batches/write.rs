//! Writing a batch's files: its lines in the order of the input, in constant memory.
//!
//! The files' names are kept first, so that a second try after a crash writes the same files. Both are
//! written beside, flushed and renamed; then one transaction makes them files and ends the batch.

use super::{
    BatchStatus, Batches, Event, Unfinished,
    output::{OutputError, OutputLine, OutputResponse},
    row::{Row, load, save},
};
use crate::{
    files::{self, ID_PREFIX as FILE_PREFIX, NewRow, Purpose, part_of, path_of},
    handle::Work,
    id,
    keeping::Kept,
    limits::{LISTED_MAX, ROWS_AT_ONCE},
    step::{self, Step},
    store::{
        connection::{open_private, sync_folder_of},
        error::StoreError,
        instance::NOBODY,
        tx::{Tx, damaged, natural},
    },
    tasks::state,
};
use protocol::Timestamp;
use rusqlite::{Connection, params};
use serde_json::value::RawValue;
use std::{
    fs,
    io::{self, BufWriter, Write},
};

/// Why a batch's files are not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Its lines are not answered yet, or its files are written.
    #[error("the batch has nothing to write now")]
    NotReady,
    /// This process or another is at it.
    #[error("the batch is being written already, wait for that")]
    Busy,
    /// Nothing more was kept; to be done again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A batch that this process writes.
struct Claimed {
    seq: i64,
    id: String,
    unfinished: Option<Unfinished>,
    life_seconds: Option<u64>,
    output: String,
    errors: String,
    _kept: Kept,
}

/// The files' sizes; `None` for one that has no lines.
struct Written {
    output: Option<u64>,
    errors: Option<u64>,
}

impl Batches<'_> {
    /// Writes the output file and the error file of a batch, and ends it. To be called for
    /// [`Batches::to_write`]. Dropped or failed, it can be done again.
    pub async fn write(self, id: &str, now: Timestamp) -> Result<BatchStatus, WriteError> {
        let claimed = self.claim_to_write(id).await?;
        let work = self.work.clone();
        let written =
            tokio::task::spawn_blocking(move || write(&work, &claimed).map(|files| (claimed, files)));
        let (claimed, files) = written.await.map_err(|_| StoreError::Closed)??;
        let status = self.end(claimed, files, now).await?;
        self.work.unlink_deleted().await?;
        Ok(status)
    }

    async fn claim_to_write(self, id: &str) -> Result<Claimed, WriteError> {
        const FIND: &str = "SELECT keeper, output_life_seconds, coalesce(output_file, ?2), \
            coalesce(error_file, ?3) FROM batch WHERE id = ?1";
        const CLAIM: &str = "UPDATE batch SET keeper = ?2, output_file = ?3, error_file = ?4 WHERE seq = ?1";
        let kept = self.work.batches_kept().begin(id, LISTED_MAX).ok_or(WriteError::Busy)?;
        let names = [id::random(FILE_PREFIX)?, id::random(FILE_PREFIX)?];
        let id = id.to_owned();
        let batch = id.clone();
        let claim = move |tx: &Tx<'_>| {
            let row = load(tx, Row::BY_ID, [&batch])?.filter(|row| row.life.is_ready());
            let Some(row) = row else { return Ok(Err(WriteError::NotReady)) };
            let found = tx.one(FIND, params![batch, names[0], names[1]], |row| {
                let life: Option<i64> = row.get(1)?;
                Ok((row.get::<_, i64>(0)?, life, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
            })?;
            let Some((keeper, life, output, errors)) = found else { return Ok(Err(WriteError::NotReady)) };
            if keeper != NOBODY && keeper != tx.me() {
                return Ok(Err(WriteError::Busy));
            }
            tx.run(CLAIM, params![row.seq, tx.me(), output, errors])?;
            Ok(Ok((row.seq, row.life.unfinished, life.map(i64::unsigned_abs), output, errors)))
        };
        let claimed = self.work.write(Step::FilesReserved, claim).await?;
        let (seq, unfinished, life_seconds, output, errors) = claimed;
        Ok(Claimed { seq, id, unfinished, life_seconds, output, errors, _kept: kept })
    }

    async fn end(self, batch: Claimed, files: Written, now: Timestamp) -> Result<BatchStatus, WriteError> {
        const NAMES: &str = "UPDATE batch SET keeper = 0, output_file = ?2, error_file = ?3 WHERE seq = ?1";
        let end = move |tx: &Tx<'_>| {
            let Some(mut row) = load(tx, Row::BY_SEQ, [batch.seq])? else {
                return Ok(Err(WriteError::NotReady));
            };
            let mine =
                tx.number("SELECT keeper FROM batch WHERE seq = ?1", [batch.seq])? == tx.me().unsigned_abs();
            if !mine || row.life.on(Event::Written, now).is_err() {
                return Ok(Err(WriteError::NotReady));
            }
            let output = files.output.map(|bytes| new_file(&batch, &batch.output, "output", bytes, now));
            let errors = files.errors.map(|bytes| new_file(&batch, &batch.errors, "error", bytes, now));
            output.iter().chain(&errors).try_for_each(|file| files::insert(tx, file))?;
            tx.run(NAMES, params![batch.seq, output.map(|f| f.id), errors.map(|f| f.id)])?;
            save(tx, &row, now)?;
            Ok(Ok(row.life.status))
        };
        self.work.write(Step::BatchEnded, end).await
    }
}

fn new_file(batch: &Claimed, id: &str, kind: &str, bytes: u64, now: Timestamp) -> NewRow {
    let life_ms = batch.life_seconds.map(|seconds| seconds * 1000);
    NewRow {
        id: id.to_owned(),
        purpose: Purpose::BatchOutput,
        bytes,
        created_at: now,
        expires_at: life_ms.map(|life| Timestamp::from_millis(now.as_millis() + life)),
        name: format!("{}_{kind}.jsonl", batch.id),
        checked: None,
    }
}

fn write(work: &Work, batch: &Claimed) -> Result<Written, StoreError> {
    let folder = work.files_folder();
    let paths = [&batch.output, &batch.errors].map(|id| (part_of(folder, id), path_of(folder, id)));
    let written = || -> Result<Written, StoreError> {
        let [output, errors] = paths.each_ref().map(|(part, _)| Out::create(part));
        let (mut output, mut errors) = (output?, errors?);
        let conn = work.connection()?;
        let mut after = 0;
        while let Some(last) = write_some(&conn, batch, after, &mut output, &mut errors)? {
            after = last;
        }
        let [(output_part, output_path), (errors_part, errors_path)] = &paths;
        let output = output.put(output_part, output_path, Step::OutputNamed)?;
        let errors = errors.put(errors_part, errors_path, Step::ErrorsNamed)?;
        Ok(Written { output, errors })
    };
    written().inspect_err(|_| {
        // The next try would overwrite them; until then they take room that it may need.
        paths.iter().for_each(|(part, _)| drop(fs::remove_file(part)));
    })
}

/// A file that is being written.
struct Out {
    file: BufWriter<fs::File>,
    bytes: u64,
}

impl Out {
    fn create(part: &std::path::Path) -> io::Result<Self> {
        let file = open_private(part)?;
        file.set_len(0)?;
        Ok(Self { file: BufWriter::new(file), bytes: 0 })
    }

    fn line(&mut self, line: &OutputLine<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }

    /// Puts it in its place, and gives its size; removes it if it has no lines.
    fn put(mut self, part: &std::path::Path, path: &std::path::Path, step: Step) -> io::Result<Option<u64>> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        if self.bytes == 0 {
            fs::remove_file(part)?;
            return Ok(None);
        }
        fs::rename(part, path)?;
        sync_folder_of(path)?;
        step::done(step);
        Ok(Some(self.bytes))
    }
}

/// Writes some lines that come after `after`; gives the last, or `None` if there was none. One go holds up
/// the reuse of the write-ahead log, so it is short.
fn write_some(
    conn: &Connection,
    batch: &Claimed,
    after: i64,
    output: &mut Out,
    errors: &mut Out,
) -> Result<Option<i64>, StoreError> {
    const LINES: &str = "SELECT line, custom_id, state, outcome.status, request_id, outcome.code, outcome.message, \
        body, lane.code, lane.message FROM task LEFT JOIN outcome USING (batch, line) \
        LEFT JOIN lane ON lane.id = task.lane WHERE task.batch = ?1 AND task.line > ?2 ORDER BY line LIMIT ?3";
    let mut lines = conn.prepare_cached(LINES)?;
    let mut rows = lines.query(params![batch.seq, after, ROWS_AT_ONCE as i64])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let line: i64 = row.get(0)?;
        let good = row.get::<_, i64>(2)? == state::DONE;
        let text = |place| row.get::<_, Option<String>>(place);
        let (custom_id, request_id, body) = (text(1)?.unwrap_or_default(), text(4)?, text(7)?);
        let (code, message, lane_code, lane_message) = (text(5)?, text(6)?, text(8)?, text(9)?);
        let body = body.map(RawValue::from_string).transpose().map_err(|_| damaged(7))?;
        let own = code.as_deref().zip(message.as_deref());
        let lane = lane_code.as_deref().zip(lane_message.as_deref());
        let unanswered = batch.unfinished.as_ref().unwrap_or(&Unfinished::Expired).error();
        let response = body.as_deref().map(|body| {
            let request_id = request_id.as_deref().unwrap_or_default();
            Ok::<_, rusqlite::Error>(OutputResponse { status_code: natural(row, 3)?, request_id, body })
        });
        let response = response.transpose()?;
        let error = match response {
            Some(_) => None,
            None => Some(own.or(lane).unwrap_or(unanswered)),
        };
        let digits = batch.id.strip_prefix(super::ID_PREFIX).unwrap_or(&batch.id);
        let said = OutputLine {
            id: format!("batch_req_{digits}_{line}"),
            custom_id: &custom_id,
            response,
            error: error.map(|(code, message)| OutputError { code, message }),
        };
        if good {
            output.line(&said)?
        } else {
            errors.line(&said)?
        }
        last = Some(line);
    }
    Ok(last)
}
