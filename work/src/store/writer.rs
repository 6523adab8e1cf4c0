//! The thread that owns the writing connection: takes what is queued, commits it, answers everyone.
//!
//! The disk's flush costs far more than a row, so all that waits when a flush ends shares the next one.
//! Nobody is answered before the commit.

use super::{
    actor::Inbox,
    errand::Errand,
    error::{StoreError, is_everybodys},
    instance::Instance,
    tx::Tx,
};
use crate::{
    limits::{CHECKPOINT_COMMITS, COMMIT_ERRANDS_MAX, COMMIT_TIME_MAX, GATHER_FROM, GATHER_TIME},
    step,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::time::Instant;

pub(crate) struct Writer {
    conn: Connection,
    inbox: Inbox<Box<dyn Errand>>,
    me: Instance,
    commits_since_checkpoint: u64,
    last_commit: usize,
}

impl Writer {
    pub(crate) fn new(conn: Connection, inbox: Inbox<Box<dyn Errand>>, me: Instance) -> Self {
        Self { conn, inbox, me, commits_since_checkpoint: 0, last_commit: 0 }
    }

    /// Serves until the inbox is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.inbox.wait() {
            if self.last_commit >= GATHER_FROM {
                std::thread::sleep(GATHER_TIME);
            }
            self.serve(vec![first]);
            if self.commits_since_checkpoint >= CHECKPOINT_COMMITS {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    /// Commits `errands` and what is queued, and answers all of them.
    fn serve(&mut self, mut errands: Vec<Box<dyn Errand>>) {
        match self.write(&mut errands, true) {
            Ok(()) => errands.into_iter().for_each(|errand| errand.answer()),
            Err(error) if errands.len() > 1 && !is_everybodys(&error) => {
                // One of them met something of its own; the others need not suffer for it.
                errands.into_iter().for_each(|errand| self.serve_alone(errand));
            }
            Err(error) => refuse(errands, &error.into()),
        }
    }

    fn serve_alone(&mut self, errand: Box<dyn Errand>) {
        let mut errands = vec![errand];
        match self.write(&mut errands, false) {
            Ok(()) => errands.into_iter().for_each(|errand| errand.answer()),
            Err(error) => refuse(errands, &error.into()),
        }
    }

    /// One transaction. If `more`, adds what is queued, until it is full or its time is up. On an error
    /// nothing of it is kept.
    fn write(&mut self, errands: &mut Vec<Box<dyn Errand>>, more: bool) -> rusqlite::Result<()> {
        let begun = Instant::now();
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let mut done = 0;
        while let Some(errand) = errands.get_mut(done) {
            errand.run(&Tx::new(&tx, &self.me))?;
            done += 1;
            let room = done < COMMIT_ERRANDS_MAX && begun.elapsed() < COMMIT_TIME_MAX;
            if more && room && done == errands.len() {
                errands.extend(self.inbox.take());
            }
        }
        errands.iter().for_each(|errand| step::doing(errand.step()));
        tx.commit()?;
        errands.iter().for_each(|errand| step::done(errand.step()));
        self.last_commit = done;
        self.commits_since_checkpoint += 1;
        Ok(())
    }

    /// Copies the write-ahead log into the database, as far as no reader stands in the way.
    fn checkpoint(&mut self) {
        self.commits_since_checkpoint = 0;
        // What is committed is durable without it; what fails now is tried again at the next one.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

fn refuse(errands: Vec<Box<dyn Errand>>, why: &StoreError) {
    for mut errand in errands {
        errand.fail(why.clone());
        errand.answer();
    }
}
