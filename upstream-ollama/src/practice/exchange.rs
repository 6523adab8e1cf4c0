//! One request for an answer, from its first byte to its end.

use super::{
    behaviour::{Behaviour, Trouble},
    engine::Engine,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::watch;

/// Held by whoever works at the answer. hyper drops that when the client leaves, so that the last drop
/// without [`Exchange::finish`] is an abort.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) engine: Arc<Engine>,
    pub(super) behaviour: Behaviour,
    /// Has seen the releases that came before the request.
    releases: watch::Receiver<u64>,
    finished: AtomicBool,
}

impl Exchange {
    pub(super) fn begin(engine: Arc<Engine>) -> Exchange {
        engine.count(|counts| counts.in_flight += 1);
        let behaviour = engine.next_behaviour();
        let releases = engine.releases.subscribe();
        Exchange { engine, behaviour, releases, finished: AtomicBool::new(false) }
    }

    /// The handle's order, or else what the model's name asks for.
    pub(super) fn trouble(&self, by_name: &Trouble) -> Trouble {
        match &self.behaviour.trouble {
            Trouble::None => by_name.clone(),
            ordered => ordered.clone(),
        }
    }

    pub(super) async fn hang(&self) {
        // The sender lives in the engine that we hold.
        let _ = self.releases.clone().changed().await;
    }

    pub(super) fn made_token(&self) {
        self.engine.count(|counts| counts.tokens += 1);
    }

    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let finished = *self.finished.get_mut();
        self.engine.count(|counts| {
            counts.in_flight -= 1;
            if finished { counts.finished += 1 } else { counts.aborted += 1 }
        });
    }
}
