//! The thread that owns the writing connection: takes what is queued, commits it, answers everyone.
//!
//! The disk's flush costs far more than an append (PERF: 128 µs to 4 ms against 3 µs), so all that
//! waits when a flush ends shares the next one. Nobody is answered before the commit.

use crate::{
    actor::Inbox,
    append::{Append, Item, Outcome, PostError},
    limits::{BATCH_RECEIPTS_MAX, BATCH_TIME_MAX, CHECKPOINT_WRITES, GATHER_FROM, GATHER_TIME},
};
use rusqlite::{Connection, ErrorCode};
use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::oneshot;

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Keep one receipt.
    One { item: Box<Item>, reply: oneshot::Sender<Outcome> },
    /// Keep several, in one transaction; at most [`BATCH_RECEIPTS_MAX`].
    Many { items: Vec<Item>, reply: oneshot::Sender<Vec<Outcome>> },
    /// Meddle with the connection, between transactions.
    #[cfg(test)]
    Meddle(Box<dyn FnOnce(&Connection) + Send>),
}

impl Job {
    fn items(&self) -> &[Item] {
        match self {
            Job::One { item, .. } => slice::from_ref(item),
            Job::Many { items, .. } => items,
            #[cfg(test)]
            Job::Meddle(_) => &[],
        }
    }

    /// Takes as many outcomes as the job has items. Whoever no longer waits is not an error.
    fn answer(self, outcomes: &mut impl Iterator<Item = Outcome>) {
        match self {
            Job::One { reply, .. } => {
                let _ = outcomes.next().map(|outcome| reply.send(outcome));
            }
            Job::Many { items, reply } => {
                let _ = reply.send(outcomes.take(items.len()).collect());
            }
            #[cfg(test)]
            Job::Meddle(_) => {}
        }
    }
}

/// What a writer has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Transactions that were committed, each with one flush of the disk.
    pub commits: u64,
    /// Receipts that were new.
    pub receipts: u64,
}

/// The same, shared between the thread and its handle.
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    receipts: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Written {
        Written {
            commits: self.commits.load(Ordering::Relaxed),
            receipts: self.receipts.load(Ordering::Relaxed),
        }
    }
}

pub(crate) struct Writer {
    conn: Connection,
    inbox: Inbox<Job>,
    counters: Arc<Counters>,
    writes_since_checkpoint: u64,
    last_batch: usize,
}

impl Writer {
    pub(crate) fn new(conn: Connection, inbox: Inbox<Job>, counters: Arc<Counters>) -> Self {
        Self { conn, inbox, counters, writes_since_checkpoint: 0, last_batch: 0 }
    }

    /// Serves until the inbox is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(job) = self.inbox.wait() {
            #[cfg(test)]
            if let Job::Meddle(meddle) = job {
                meddle(&self.conn);
                continue;
            }
            self.serve(job);
            if self.writes_since_checkpoint >= CHECKPOINT_WRITES {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    /// Commits `first` and what is queued, and answers all of them.
    fn serve(&mut self, first: Job) {
        let mut jobs = vec![first];
        if self.last_batch >= GATHER_FROM {
            std::thread::sleep(GATHER_TIME);
        }
        match self.write(&mut jobs) {
            Ok(outcomes) => answer(jobs, outcomes),
            // One receipt met the damage; the others may not have to.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                jobs.into_iter().for_each(|job| self.serve_one_by_one(job));
            }
            Err(error) => {
                // Those who came meanwhile have waited as long, and would meet the same.
                jobs.extend(std::iter::from_fn(|| self.inbox.take()));
                refuse(jobs, error);
            }
        }
    }

    /// One transaction. Adds to `jobs` what is queued, until the batch is full or its time is up. On
    /// an error nothing of it is kept.
    fn write(&mut self, jobs: &mut Vec<Job>) -> rusqlite::Result<Vec<Outcome>> {
        let mut append = Append::begin(&self.conn)?;
        let begun = Instant::now();
        let mut outcomes = Vec::new();
        let mut done = 0;
        while let Some(job) = jobs.get(done) {
            for item in job.items() {
                outcomes.push(append.append(item)?);
            }
            done += 1;
            if outcomes.len() < BATCH_RECEIPTS_MAX && begun.elapsed() < BATCH_TIME_MAX {
                jobs.extend(self.inbox.take());
            }
        }
        let new = append.commit()?;
        self.count(new);
        self.last_batch = outcomes.len();
        Ok(outcomes)
    }

    fn serve_one_by_one(&mut self, job: Job) {
        let outcomes = job.items().iter().map(|item| self.write_one(item)).collect();
        answer(vec![job], outcomes);
    }

    fn write_one(&mut self, item: &Item) -> Outcome {
        let mut append = Append::begin(&self.conn)?;
        let posted = append.append(item)??;
        let new = append.commit()?;
        self.count(new);
        Ok(posted)
    }

    fn count(&mut self, new: u64) {
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.receipts.fetch_add(new, Ordering::Relaxed);
        self.writes_since_checkpoint += new + 1;
    }

    /// Copies the write-ahead log into the database, as far as no reader stands in the way.
    fn checkpoint(&mut self) {
        self.writes_since_checkpoint = 0;
        // What is committed is durable without it; what fails now is tried again at the next one.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

fn answer(jobs: Vec<Job>, outcomes: Vec<Outcome>) {
    let mut outcomes = outcomes.into_iter();
    jobs.into_iter().for_each(|job| job.answer(&mut outcomes));
}

fn refuse(jobs: Vec<Job>, error: rusqlite::Error) {
    let error = PostError::from(error);
    let mut outcomes = std::iter::repeat_with(|| Err(error.clone()));
    jobs.into_iter().for_each(|job| job.answer(&mut outcomes));
}

#[cfg(test)]
mod tests;
