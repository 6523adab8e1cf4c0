//! What others hold: post and ask, from async code or from a plain thread.

use crate::{
    actor::Actor,
    append::{Item, Outcome, PostError},
    balance::{Account, Totals},
    block_on::block_on,
    connection::{self, OpenError},
    entry::{Entry, Origin, Posted},
    limits::{BATCH_RECEIPTS_MAX, QUEUE_JOBS_MAX, QUEUE_READS_MAX},
    query::{QueryError, Reader},
    writer::{Counters, Job, Writer, Written},
};
use protocol::{NodeId, Receipt, Requester, Timestamp, Verified, receipt::Nonce};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::oneshot;

type Question = Box<dyn FnOnce(&Reader) + Send>;

/// The ledger of this node. A clone is the same ledger.
///
/// Dropping the last clone closes it, which finishes what was queued.
#[derive(Clone)]
pub struct Ledger {
    open: Arc<Open>,
}

struct Open {
    me: NodeId,
    path: PathBuf,
    // Closed in this order: SQLite removes the write-ahead log only if the last connection to go
    // is one that may write.
    reader: Actor<Question>,
    writer: Actor<Job>,
    counters: Arc<Counters>,
}

impl Ledger {
    /// Opens the ledger of the node `me`, making or migrating it where needed.
    pub fn open(path: &Path, me: NodeId) -> Result<Self, OpenError> {
        let conn = connection::open_writing(path)?;
        let reader = Reader::open(path)?;
        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        let writer = Actor::start("ledger-writer", QUEUE_JOBS_MAX, move |inbox| {
            Writer::new(conn, inbox, counted).run();
        });
        let reader = Actor::start("ledger-reader", QUEUE_READS_MAX, move |mut inbox| {
            while let Some(question) = inbox.wait() {
                let question: Question = question;
                question(&reader);
            }
        });
        let writer = writer.map_err(OpenError::Thread)?;
        let reader = reader.map_err(OpenError::Thread)?;
        Ok(Self { open: Arc::new(Open { me, path: path.to_owned(), reader, writer, counters }) })
    }

    /// Whose ledger it is.
    pub fn me(&self) -> NodeId {
        self.open.me
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    /// Keeps a receipt; resolves when it is durable. The identical receipt again is no error.
    ///
    /// If the future is dropped the receipt may be kept all the same.
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
        let item = Box::new(Item::new(receipt, credits_max, origin, now)?);
        let (reply, answer) = oneshot::channel();
        self.send(Job::One { item, reply }).await?;
        answer.await.unwrap_or(Err(PostError::Closed))
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
        let mut outcomes = Vec::with_capacity(receipts.len());
        let mut receipts =
            receipts.into_iter().map(|receipt| Item::new(receipt, u64::MAX, origin, now)).peekable();
        while receipts.peek().is_some() {
            let batch = receipts.by_ref().take(BATCH_RECEIPTS_MAX).collect();
            outcomes.extend(block_on(self.post_batch(batch)));
        }
        outcomes
    }

    async fn post_batch(&self, batch: Vec<Result<Item, PostError>>) -> Vec<Outcome> {
        let (reply, answer) = oneshot::channel();
        let mut refused = Vec::new();
        let mut items = Vec::with_capacity(batch.len());
        for (place, item) in batch.into_iter().enumerate() {
            match item {
                Ok(item) => items.push(item),
                Err(error) => refused.push((place, error)),
            }
        }
        let posted = items.len();
        let sent = self.send(Job::Many { items, reply }).await;
        let answered = if sent.is_ok() { answer.await.ok() } else { None };
        let mut outcomes = answered.unwrap_or_else(|| vec![Err(PostError::Closed); posted]);
        for (place, error) in refused {
            outcomes.insert(place, Err(error));
        }
        outcomes
    }

    async fn send(&self, job: Job) -> Result<(), PostError> {
        self.open.writer.send(job).await.map_err(|_| PostError::Closed)
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

    /// Takes no more posts, finishes what was queued and waits until it is on the disk. Every clone
    /// is closed by it; a second call does nothing.
    pub fn close(&self) {
        self.open.reader.close();
        self.open.writer.close();
    }

    #[cfg(test)]
    pub(crate) fn meddle(&self, meddle: impl FnOnce(&rusqlite::Connection) + Send + 'static) {
        let _ = block_on(self.send(Job::Meddle(Box::new(meddle))));
    }
}
