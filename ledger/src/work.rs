//! What the writer is asked to do, and how it is answered.

use crate::{append::Append, unwritten::Unwritten};
use tokio::sync::oneshot;

/// One piece of work inside a transaction. It may be tried twice, the second time in a transaction of
/// its own, so it changes nothing but the books.
pub(crate) trait Work: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;
    /// Why nothing does.
    type Refused: From<Unwritten> + Send + 'static;
    /// Whether it must be on the disk before it is answered. What need not survives a kill, and a power
    /// cut too if anything that must was written after it.
    const DURABLE: bool;

    /// The outer error ends the whole transaction, the inner one concerns this piece alone, and then
    /// nothing was written for it.
    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Self::Done, Self::Refused>>;

    /// Called once its transaction is committed.
    fn committed(_done: &mut Self::Done) {}
}

pub(crate) type Outcome<W> = Result<<W as Work>::Done, <W as Work>::Refused>;

/// Work of any kind, with those who wait for it.
pub(crate) trait Errand: Send {
    /// How many pieces it has; each can have a transaction of its own.
    fn parts(&self) -> usize;
    /// See [`Work::DURABLE`].
    fn durable(&self) -> bool;
    /// Does one piece; see [`Work::run`].
    fn run(&mut self, part: usize, books: &mut Append<'_>) -> rusqlite::Result<()>;
    /// Its transaction was not committed.
    fn fail(&mut self, part: usize, why: Unwritten);
    /// Tells those who wait; all of it is committed or has failed.
    fn answer(self: Box<Self>);
}

/// Pieces of one kind, which are answered together.
pub(crate) struct Asked<W: Work> {
    parts: Vec<W>,
    outcomes: Vec<Option<Outcome<W>>>,
    reply: oneshot::Sender<Vec<Outcome<W>>>,
}

impl<W: Work> Asked<W> {
    pub(crate) fn new(parts: Vec<W>) -> (Self, oneshot::Receiver<Vec<Outcome<W>>>) {
        let (reply, answer) = oneshot::channel();
        let outcomes = parts.iter().map(|_| None).collect();
        (Self { parts, outcomes, reply }, answer)
    }

    fn set(&mut self, part: usize, outcome: Outcome<W>) {
        if let Some(place) = self.outcomes.get_mut(part) {
            *place = Some(outcome);
        }
    }
}

impl<W: Work> Errand for Asked<W> {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn durable(&self) -> bool {
        W::DURABLE
    }

    fn run(&mut self, part: usize, books: &mut Append<'_>) -> rusqlite::Result<()> {
        if let Some(work) = self.parts.get(part) {
            let outcome = work.run(books)?;
            self.set(part, outcome);
        }
        Ok(())
    }

    fn fail(&mut self, part: usize, why: Unwritten) {
        self.set(part, Err(why.into()));
    }

    fn answer(self: Box<Self>) {
        let outcomes = self.outcomes.into_iter().map(|outcome| {
            let mut outcome = outcome.unwrap_or_else(|| Err(Unwritten::Closed.into()));
            if let Ok(done) = &mut outcome {
                W::committed(done);
            }
            outcome
        });
        // Whoever no longer waits is not an error.
        let _ = self.reply.send(outcomes.collect());
    }
}
