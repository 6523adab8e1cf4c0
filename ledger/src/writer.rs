//! The thread that owns the writing connection: takes what is queued, commits it, answers everyone.
//!
//! The disk's flush costs far more than an append (PERF: 128 µs to 4 ms against 3 µs), so all that
//! waits when a flush ends shares the next one. Where nothing that waits needs a flush, there is none:
//! such a commit survives a kill, and the next flush makes it survive a power cut. Nobody is answered
//! before the commit.

use crate::{
    actor::Inbox,
    append::{Append, Committed, is_of_one_row},
    handle::Abandoned,
    head::HeadFile,
    instance::Keeper,
    limits::{BATCH_PARTS_MAX, BATCH_TIME_MAX, CHECKPOINT_WRITES, GATHER_FROM, GATHER_TIME},
    serving::release::Release,
    unwritten::Unwritten,
    work::{Asked, Errand},
};
use protocol::Timestamp;
use rusqlite::{Connection, ErrorCode};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Something with the books.
    Errand(Box<dyn Errand>),
    /// Look at what was abandoned.
    Look,
    /// Meddle with the connection, between transactions.
    #[cfg(test)]
    Meddle(Box<dyn FnOnce(&Connection) + Send>),
}

/// What a writer has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Transactions that were committed.
    pub commits: u64,
    /// Those of them that were flushed to the disk.
    pub flushes: u64,
    /// Receipts that were new.
    pub receipts: u64,
}

/// The same, shared between the thread and its handle.
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    flushes: AtomicU64,
    receipts: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Written {
        Written {
            commits: self.commits.load(Ordering::Relaxed),
            flushes: self.flushes.load(Ordering::Relaxed),
            receipts: self.receipts.load(Ordering::Relaxed),
        }
    }
}

pub(crate) struct Writer {
    conn: Connection,
    inbox: Inbox<Job>,
    /// Taken from the inbox, and to be served first: it was no part of the last transaction.
    held: Option<Job>,
    keeper: Keeper,
    abandoned: Arc<Abandoned>,
    heads: HeadFile,
    counters: Arc<Counters>,
    /// Whether a commit is flushed, as the connection is set.
    flushing: bool,
    writes_since_checkpoint: u64,
    last_batch: usize,
}

impl Writer {
    pub(crate) fn new(
        conn: Connection,
        inbox: Inbox<Job>,
        keeper: Keeper,
        heads: HeadFile,
        (abandoned, counters): (Arc<Abandoned>, Arc<Counters>),
    ) -> Self {
        let (held, flushing, writes_since_checkpoint, last_batch) = (None, true, 0, 0);
        Self {
            conn,
            inbox,
            held,
            keeper,
            abandoned,
            heads,
            counters,
            flushing,
            writes_since_checkpoint,
            last_batch,
        }
    }

    /// Serves until the inbox is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(job) = self.held.take().or_else(|| self.inbox.wait()) {
            let first = match job {
                Job::Errand(errand) => Some(errand),
                Job::Look => None,
                #[cfg(test)]
                Job::Meddle(meddle) => {
                    meddle(&self.conn);
                    continue;
                }
            };
            self.serve(first);
            if self.writes_since_checkpoint >= CHECKPOINT_WRITES {
                self.checkpoint();
            }
        }
        self.serve(None);
        self.keeper.retire(&self.conn);
        self.checkpoint();
    }

    /// Commits what was abandoned, `first` and what is queued, and answers all of them.
    fn serve(&mut self, first: Option<Box<dyn Errand>>) {
        let abandoned = self.abandoned.all();
        let released = abandoned.len();
        let mut errands: Vec<_> = release(abandoned).into_iter().chain(first).collect();
        self.gather(&mut errands);
        if errands.is_empty() {
            return;
        }
        // Admissions, which need no flush, stand before somebody's first byte: they do not wait for company.
        let durable = errands.iter().any(|errand| errand.durable());
        if durable && self.last_batch >= GATHER_FROM {
            std::thread::sleep(GATHER_TIME);
            self.gather(&mut errands);
        }
        match self.write(&mut errands, durable) {
            Ok(()) => {
                self.abandoned.forget(released);
                errands.into_iter().for_each(|errand| errand.answer());
            }
            // One piece met the damage; the others may not have to.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) || is_of_one_row(&error) =>
            {
                self.abandoned.forget(released);
                errands.into_iter().for_each(|errand| self.serve_one_by_one(errand));
            }
            Err(error) => {
                // Those who came meanwhile have waited as long, and would meet the same.
                while let Some(errand) = next(&mut self.held, &mut self.inbox, true) {
                    errands.push(errand);
                }
                refuse(errands, &error.into());
            }
        }
    }

    /// Adds what is queued already, so that it is known whether a flush is needed.
    fn gather(&mut self, errands: &mut Vec<Box<dyn Errand>>) {
        let mut parts: usize = errands.iter().map(|errand| errand.parts()).sum();
        while parts < BATCH_PARTS_MAX {
            let Some(errand) = next(&mut self.held, &mut self.inbox, true) else { return };
            parts += errand.parts();
            errands.push(errand);
        }
    }

    /// One transaction. Adds to `errands` what is queued, until the batch is full or its time is up. On
    /// an error nothing of it is kept.
    fn write(&mut self, errands: &mut Vec<Box<dyn Errand>>, durable: bool) -> rusqlite::Result<()> {
        self.set_flushing(durable)?;
        let begun = Instant::now();
        let mut parts = 0;
        let mut done = 0;
        let mut books = Append::begin(&self.conn, &mut self.keeper)?;
        let written = loop {
            let Some(errand) = errands.get_mut(done) else { break books.commit() };
            let ran = (0..errand.parts()).try_for_each(|part| errand.run(part, &mut books));
            if let Err(error) = ran {
                drop(books);
                break Err(error);
            }
            parts += errand.parts();
            done += 1;
            if done == errands.len() && parts < BATCH_PARTS_MAX && begun.elapsed() < BATCH_TIME_MAX {
                errands.extend(next(&mut self.held, &mut self.inbox, durable));
            }
        };
        self.last_batch = parts;
        self.written(written)
    }

    fn serve_one_by_one(&mut self, mut errand: Box<dyn Errand>) {
        for part in 0..errand.parts() {
            if let Err(error) = self.write_one(&mut *errand, part) {
                errand.fail(part, error.into());
            }
        }
        errand.answer();
    }

    fn write_one(&mut self, errand: &mut dyn Errand, part: usize) -> rusqlite::Result<()> {
        self.set_flushing(errand.durable())?;
        let mut books = Append::begin(&self.conn, &mut self.keeper)?;
        let written = match errand.run(part, &mut books) {
            Ok(()) => books.commit(),
            Err(error) => {
                drop(books);
                Err(error)
            }
        };
        self.written(written)
    }

    /// FULL flushes the log at each commit, NORMAL only when the log is copied into the database.
    fn set_flushing(&mut self, flush: bool) -> rusqlite::Result<()> {
        if self.flushing != flush {
            self.conn.pragma_update(None, "synchronous", if flush { "full" } else { "normal" })?;
            self.flushing = flush;
        }
        Ok(())
    }

    fn written(&mut self, written: rusqlite::Result<Committed>) -> rusqlite::Result<()> {
        let committed = written.inspect_err(|_| self.keeper.rolled_back())?;
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.receipts.fetch_add(committed.receipts, Ordering::Relaxed);
        self.writes_since_checkpoint += committed.rows + 1;
        if self.flushing {
            self.counters.flushes.fetch_add(1, Ordering::Relaxed);
            self.heads.note(committed.heads);
        }
        Ok(())
    }

    /// Copies the write-ahead log into the database, as far as no reader stands in the way.
    fn checkpoint(&mut self) {
        self.writes_since_checkpoint = 0;
        // What is committed is durable without it; what fails now is tried again at the next one.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

/// What is queued next. One that wants a flush is held back where there is none.
fn next(held: &mut Option<Job>, inbox: &mut Inbox<Job>, flushed: bool) -> Option<Box<dyn Errand>> {
    loop {
        match held.take().or_else(|| inbox.take())? {
            Job::Errand(errand) if !flushed && errand.durable() => {
                *held = Some(Job::Errand(errand));
                return None;
            }
            Job::Errand(errand) => return Some(errand),
            Job::Look => {}
            #[cfg(test)]
            meddle @ Job::Meddle(_) => {
                *held = Some(meddle);
                return None;
            }
        }
    }
}

/// Gives back reservations that were dropped; nobody waits for that.
fn release(abandoned: Vec<(u64, Timestamp)>) -> Option<Box<dyn Errand>> {
    let releases: Vec<_> = abandoned.into_iter().map(|(seq, now)| Release { seq, now }).collect();
    let some = !releases.is_empty();
    some.then(|| Box::new(Asked::new(releases).0) as Box<dyn Errand>)
}

fn refuse(errands: Vec<Box<dyn Errand>>, why: &Unwritten) {
    for mut errand in errands {
        (0..errand.parts()).for_each(|part| errand.fail(part, why.clone()));
        errand.answer();
    }
}

#[cfg(test)]
mod flush_tests;
#[cfg(test)]
mod tests;
