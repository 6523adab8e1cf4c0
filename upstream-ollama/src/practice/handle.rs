//! How a test holds the running engine: give it trouble, see what it got, wait for what it does.

use super::{
    behaviour::{Behaviour, Trouble},
    engine::{Counts, Engine, Recorded},
};
use std::sync::Arc;

/// Cheap to clone; stays valid, if idle, after the engine has stopped.
#[derive(Clone, Debug)]
pub struct Handle {
    engine: Arc<Engine>,
}

impl Handle {
    pub(super) fn new(engine: Arc<Engine>) -> Handle {
        Handle { engine }
    }

    /// For requests that come in from now on.
    pub fn set(&self, behaviour: Behaviour) {
        self.engine.set_behaviour(behaviour);
    }

    /// Fails the next requests with a status, then all is well again.
    pub fn fail_next(&self, times: u32, status: u16) {
        self.set(Behaviour::of(Trouble::Fail { status, body: None }).times(times));
    }

    /// Lets those that hang go on. Those that come to it later hang again.
    pub fn release(&self) {
        self.engine.releases.send_modify(|releases| *releases += 1);
    }

    /// The latest requests of all kinds, the oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.engine.records()
    }

    /// The same of one path.
    pub fn requests_to(&self, path: &str) -> Vec<Recorded> {
        self.engine.records().into_iter().filter(|request| request.path == path).collect()
    }

    pub fn counts(&self) -> Counts {
        *self.engine.counts.borrow()
    }

    /// Returns as soon as the counts are as wanted. Put a timeout around it.
    pub async fn wait_until(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.engine.counts.subscribe();
        // An error would mean that the sender is gone, and we hold it.
        let reached = counts.wait_for(wanted).await.map(|counts| *counts);
        reached.unwrap_or_else(|_| self.counts())
    }
}
