//! What the writing thread is asked to do, and how it is answered.

use super::{error::StoreError, tx::Tx};
use crate::step::Step;
use tokio::sync::oneshot;

/// One request to the store, with who waits for it.
pub(crate) trait Errand: Send {
    /// What it is called at the fail points.
    fn step(&self) -> Step;
    /// Does it. It may be done twice, the first time in a transaction that is not kept, so it changes
    /// nothing but the tables.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// Its transaction was not kept.
    fn fail(&mut self, why: StoreError);
    /// Tells who waits; it is kept or has failed.
    fn answer(self: Box<Self>);
}

/// A request that is a function of the tables. Its inner error is a refusal: then it wrote nothing.
pub(crate) struct Asked<T, E, F> {
    step: Step,
    work: F,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Asked<T, E, F> {
    pub(crate) fn new(step: Step, work: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { step, work, outcome: None, reply }, answer)
    }
}

impl<T, E, F> Errand for Asked<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnMut(&Tx<'_>) -> rusqlite::Result<Result<T, E>> + Send,
{
    fn step(&self) -> Step {
        self.step
    }

    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.outcome = Some((self.work)(tx)?);
        Ok(())
    }

    fn fail(&mut self, why: StoreError) {
        self.outcome = Some(Err(why.into()));
    }

    fn answer(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(StoreError::Closed.into()));
        // Whoever no longer waits is not an error.
        let _ = self.reply.send(outcome);
    }
}
