//! What others hold: post and ask, from async code or from a plain thread.

mod asking;
mod owner;
mod serving;

pub use serving::Unordered;

use crate::{
    actor::Actor,
    append,
    balance::{Account, Totals},
    block_on::block_on,
    connection::{self, OpenError},
    entry::{Entry, Origin, Posted},
    head::{self, HeadFile},
    imported,
    instance::Keeper,
    limits::{BATCH_PARTS_MAX, QUEUE_JOBS_MAX, QUEUE_READS_MAX},
    post::{Item, PostError},
    query::{QueryError, Reader},
    unwritten::Unwritten,
    work::{Asked, Outcome, Work},
    writer::{Counters, Job, Writer, Written},
};
use protocol::{NodeId, Receipt, Requester, Timestamp, Verified, receipt::Nonce};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

type Question = Box<dyn FnOnce(&Reader) + Send>;

/// The ledger of this node. A clone is the same ledger.
///
/// Dropping the last clone closes it, which finishes what was queued. What a future was asked to write
/// may be written all the same if it is dropped.
#[derive(Clone)]
pub struct Ledger {
    open: Arc<Open>,
}

pub(crate) struct Open {
    me: NodeId,
    path: PathBuf,
    // Closed in this order: SQLite removes the write-ahead log only if the last connection to go
    // is one that may write.
    reader: Actor<Question>,
    writer: Actor<Job>,
    abandoned: Arc<Abandoned>,
    counters: Arc<Counters>,
}

impl Open {
    /// Gives a reservation back that was dropped, when the writer gets to it.
    pub(crate) fn abandon(&self, seq: u64, at: Timestamp) {
        self.abandoned.push(seq, at);
        // Where there is no room the writer is at work, and looks by itself.
        self.writer.offer(Job::Look);
    }
}

/// Reservations that were dropped, and when they were made. No more than there were reservations.
#[derive(Default)]
pub(crate) struct Abandoned(Mutex<Vec<(u64, Timestamp)>>);

impl Abandoned {
    fn push(&self, seq: u64, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((seq, at));
    }

    pub(crate) fn all(&self) -> Vec<(u64, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first `count` are given back.
    pub(crate) fn forget(&self, count: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..count);
    }
}

impl Ledger {
    /// Opens the ledger of the node `me`, making or migrating it where needed.
    pub fn open(path: &Path, me: NodeId) -> Result<Self, OpenError> {
        let noted = head::noted(path);
        let conn = connection::open_writing(path, &me)?;
        // An older note than what is there is the rule; a newer one means that something was lost.
        if let (Some(noted), Ok(found)) = (noted, append::heads(&conn)) {
            head::keep_if_ahead(path, noted, found);
        }
        let reader = Reader::open(path)?;
        let (abandoned, counters) = (Arc::new(Abandoned::default()), Arc::new(Counters::default()));
        let shared = (abandoned.clone(), counters.clone());
        let (keeper, heads) = (Keeper::new(me, path), HeadFile::of(path));
        let writer = Actor::start("ledger-writer", QUEUE_JOBS_MAX, move |inbox| {
            Writer::new(conn, inbox, keeper, heads, shared).run();
        });
        let reader = Actor::start("ledger-reader", QUEUE_READS_MAX, move |mut inbox| {
            while let Some(question) = inbox.wait() {
                let question: Question = question;
                question(&reader);
            }
        });
        let writer = writer.map_err(OpenError::Thread)?;
        let reader = reader.map_err(OpenError::Thread)?;
        let path = path.to_owned();
        Ok(Self { open: Arc::new(Open { me, path, reader, writer, abandoned, counters }) })
    }

    /// Whose ledger it is.
    pub fn me(&self) -> NodeId {
        self.open.me
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    /// Keeps a receipt that answers no order; resolves when it is durable. The identical receipt again
    /// is no error.
    ///
    /// One that was [`Origin::Received`] for a request of ours is a debt of what it counts for.
    pub async fn post(
        &self,
        receipt: Verified<Receipt>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Posted, PostError> {
        self.post_at_most(receipt, u64::MAX, origin, now).await
    }

    /// [`Ledger::post`] of a receipt that is not believed beyond `credits_max`: it is kept as it is,
    /// and counts for that much at the most.
    pub async fn post_at_most(
        &self,
        receipt: Verified<Receipt>,
        credits_max: u64,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Posted, PostError> {
        self.ask(Item::unordered(receipt, credits_max, origin, now)?).await
    }

    /// [`Ledger::post`] for a thread that may block.
    pub fn post_blocking(
        &self,
        receipt: Verified<Receipt>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Posted, PostError> {
        block_on(self.post(receipt, origin, now))
    }

    /// Keeps many receipts in few transactions, and gives one outcome for each, in order.
    pub fn post_many_blocking(
        &self,
        receipts: Vec<Verified<Receipt>>,
        origin: Origin,
        now: Timestamp,
    ) -> Vec<Result<Posted, PostError>> {
        let items = receipts.into_iter().map(|receipt| Item::unordered(receipt, u64::MAX, origin, now));
        block_on(self.ask_many(items.collect()))
    }

    /// The same for lines of a file.
    pub(crate) fn import_blocking(
        &self,
        lines: Vec<Result<imported::Line, PostError>>,
    ) -> Vec<Result<Posted, PostError>> {
        block_on(self.ask_many(lines))
    }

    /// Has one piece of work done.
    async fn ask<W: Work>(&self, work: W) -> Outcome<W> {
        let outcome = self.ask_all(vec![work]).await.pop();
        outcome.unwrap_or_else(|| Err(Unwritten::Closed.into()))
    }

    /// Has pieces of work done in one transaction; at most [`BATCH_PARTS_MAX`]. One outcome for each, in
    /// order.
    async fn ask_all<W: Work>(&self, parts: Vec<W>) -> Vec<Outcome<W>> {
        let count = parts.len();
        let (asked, answer) = Asked::new(parts);
        let sent = self.open.writer.send(Job::Errand(Box::new(asked))).await;
        let answered = if sent.is_ok() { answer.await.ok() } else { None };
        answered.unwrap_or_else(|| (0..count).map(|_| Err(Unwritten::Closed.into())).collect())
    }

    /// Has many pieces done in few transactions; those that were refused before keep their places.
    async fn ask_many<W: Work>(&self, works: Vec<Result<W, W::Refused>>) -> Vec<Outcome<W>> {
        let mut outcomes = Vec::with_capacity(works.len());
        let mut works = works.into_iter().peekable();
        while works.peek().is_some() {
            let mut refused = Vec::new();
            let mut parts = Vec::new();
            for (place, work) in works.by_ref().take(BATCH_PARTS_MAX).enumerate() {
                match work {
                    Ok(work) => parts.push(work),
                    Err(error) => refused.push((place, error)),
                }
            }
            let mut batch = if parts.is_empty() { Vec::new() } else { self.ask_all(parts).await };
            for (place, error) in refused {
                batch.insert(place, Err(error));
            }
            outcomes.append(&mut batch);
        }
        outcomes
    }

    /// See [`Reader::totals`].
    pub async fn totals(&self) -> Result<Totals, QueryError> {
        self.read(Reader::totals).await?
    }

    /// See [`Reader::account`].
    pub async fn account(&self, who: Requester) -> Result<Account, QueryError> {
        self.read(move |reader| reader.account(who)).await?
    }

    /// See [`Reader::accounts`].
    pub async fn accounts(&self, limit: usize) -> Result<Vec<(Requester, Account)>, QueryError> {
        self.read(move |reader| reader.accounts(limit)).await?
    }

    /// See [`Reader::last`].
    pub async fn last(&self, limit: usize) -> Result<Vec<Entry>, QueryError> {
        self.read(move |reader| reader.last(limit)).await?
    }

    /// See [`Reader::count`].
    pub async fn count(&self) -> Result<u64, QueryError> {
        self.read(Reader::count).await?
    }

    /// See [`Reader::seen`].
    pub async fn seen(&self, worker: NodeId, nonce: Nonce) -> Result<bool, QueryError> {
        self.read(move |reader| reader.seen(worker, nonce)).await?
    }

    /// Runs several questions in one trip to the reading thread. They should be quick: others wait.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |reader| {
            // Whoever no longer waits is not an error.
            let _ = reply.send(ask(reader));
        });
        self.open.reader.send(question).await.map_err(|_| QueryError::Closed)?;
        answer.await.map_err(|_| QueryError::Closed)
    }

    /// A reader of one's own, for what takes long or blocks: export, backup, commands.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Reader::open(&self.open.path)
    }

    /// What this process has written.
    pub fn written(&self) -> Written {
        self.open.counters.read()
    }

    /// Takes no more work, finishes what was queued and waits until it is on the disk. Every clone
    /// is closed by it; a second call does nothing.
    pub fn close(&self) {
        self.open.reader.close();
        self.open.writer.close();
    }

    #[cfg(test)]
    pub(crate) fn meddle(&self, meddle: impl FnOnce(&rusqlite::Connection) + Send + 'static) {
        let _ = block_on(self.open.writer.send(Job::Meddle(Box::new(meddle))));
    }
}
