//! What all requests share: the models, the orders from the handle, and the counts.

use super::{
    Contexts, Practice,
    behaviour::{Behaviour, Pace, Trouble},
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use protocol::ModelName;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The oldest record goes when there are more.
const RECORDS_MAX: usize = 2000;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    /// Empty if it was refused unread.
    pub body: Bytes,
}

/// What happened so far. Questions about the engine itself, such as `/api/tags`, are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for an answer that were read, and recorded.
    pub received: u64,
    /// Requests for an answer that are not over.
    pub in_flight: u64,
    /// Those that ended as the engine meant them to, errors on demand included.
    pub finished: u64,
    /// Those whose client left, or that the engine's own end cut off.
    pub aborted: u64,
    /// Tokens made, of all answers.
    pub tokens: u64,
    /// Open sockets.
    pub connections: u64,
}

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) models: Vec<ModelName>,
    pub(super) pace: Pace,
    pub(super) contexts: Contexts,
    pub(super) stop: CancellationToken,
    pub(super) counts: watch::Sender<Counts>,
    /// How often the handle let go those who hang.
    pub(super) releases: watch::Sender<u64>,
    behaviour: Mutex<Behaviour>,
    records: Mutex<VecDeque<Recorded>>,
    /// With how much context.
    loaded: Mutex<BTreeMap<ModelName, u64>>,
}

impl Engine {
    pub(super) fn new(practice: Practice) -> Engine {
        let Practice { models, pace, contexts } = practice;
        Engine {
            models,
            pace,
            contexts,
            stop: CancellationToken::new(),
            counts: watch::Sender::default(),
            releases: watch::Sender::default(),
            behaviour: Mutex::default(),
            records: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    pub(super) fn set_behaviour(&self, behaviour: Behaviour) {
        *lock(&self.behaviour) = behaviour;
    }

    /// The behaviour for one request. A trouble that is used up is gone.
    pub(super) fn next_behaviour(&self) -> Behaviour {
        let mut behaviour = lock(&self.behaviour);
        match &mut behaviour.times {
            Some(0) => (behaviour.trouble, behaviour.times) = (Trouble::None, None),
            Some(times) => *times -= 1,
            None => (),
        }
        behaviour.clone()
    }

    pub(super) fn record(&self, request: Recorded) {
        let mut records = lock(&self.records);
        if records.len() == RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(request);
    }

    pub(super) fn records(&self) -> Vec<Recorded> {
        lock(&self.records).iter().cloned().collect()
    }

    /// Loads a model with what is wanted, or anew if it was loaded with something else; gives what it runs with.
    pub(super) fn load(&self, model: &ModelName, num_ctx: Option<u64>) -> u64 {
        let context = num_ctx.unwrap_or(self.contexts.by_default).clamp(1, self.contexts.trained);
        lock(&self.loaded).insert(model.clone(), context);
        context
    }

    pub(super) fn loaded(&self) -> Vec<(ModelName, u64)> {
        lock(&self.loaded).iter().map(|(model, context)| (model.clone(), *context)).collect()
    }
}

/// A test that panicked while it held a lock has failed already; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
