//! The [`Shelf`] as nostr-relay-builder wants it.
//!
//! Its own in-memory database remembers the id of every event that was ever replaced, and of every
//! key that ever wrote: a relay of heartbeats would grow for ever.

use super::shelf::{NotKept, Shelf};
use nostr_relay_builder::prelude::{
    Backend, DatabaseError, DatabaseEventStatus, Events, NostrDatabase, RejectedReason, SaveEventStatus,
};
use nostr_sdk::{Event, EventId, Filter, util::BoxedFuture};
use parking_lot::Mutex;
use protocol::Timestamp;
use std::future::ready;

#[derive(Debug)]
pub(crate) struct Store {
    shelf: Mutex<Shelf>,
    clock: fn() -> Timestamp,
}

impl Store {
    pub(crate) fn new(clock: fn() -> Timestamp) -> Self {
        Self { shelf: Mutex::default(), clock }
    }

    fn now(&self) -> u64 {
        (self.clock)().as_millis() / 1000
    }

    /// In words for its author. A duplicate is none of these: it counts as taken (NIP-01).
    pub(crate) fn would_refuse(&self, event: &Event) -> Option<&'static str> {
        match self.shelf.lock().check(event, self.now()).err()? {
            NotKept::Duplicate => None,
            NotKept::Expired => Some("the event has expired"),
            NotKept::Deleted => Some("the event was deleted by its author"),
            NotKept::Replaced => Some("a newer event of this kind and key is here"),
            NotKept::NoAddress => Some("the event has no `d` tag"),
        }
    }

    fn matching(&self, filter: &Filter) -> Events {
        let mut events = Events::new(filter);
        if filter.limit != Some(0) {
            events.extend(self.shelf.lock().matching(filter, self.now()).cloned());
        }
        events
    }

    fn remove(&self, filter: &Filter) {
        let mut shelf = self.shelf.lock();
        let ids: Vec<EventId> = shelf.matching(filter, 0).map(|event| event.id).collect();
        ids.iter().for_each(|id| shelf.remove(id));
    }
}

/// Nothing here waits for anything.
fn done<'a, T: Send + 'a>(value: T) -> BoxedFuture<'a, Result<T, DatabaseError>> {
    Box::pin(ready(Ok(value)))
}

impl NostrDatabase for Store {
    fn backend(&self) -> Backend {
        Backend::Memory
    }

    fn save_event<'a>(&'a self, event: &'a Event) -> BoxedFuture<'a, Result<SaveEventStatus, DatabaseError>> {
        done(match self.shelf.lock().save(event, self.now()) {
            Ok(()) => SaveEventStatus::Success,
            Err(why) => SaveEventStatus::Rejected(match why {
                NotKept::Duplicate => RejectedReason::Duplicate,
                NotKept::Expired => RejectedReason::Expired,
                NotKept::Deleted => RejectedReason::Deleted,
                NotKept::Replaced => RejectedReason::Replaced,
                NotKept::NoAddress => RejectedReason::Other,
            }),
        })
    }

    fn check_id<'a>(
        &'a self,
        id: &'a EventId,
    ) -> BoxedFuture<'a, Result<DatabaseEventStatus, DatabaseError>> {
        let kept = self.shelf.lock().get(id).is_some();
        done(if kept { DatabaseEventStatus::Saved } else { DatabaseEventStatus::NotExistent })
    }

    fn event_by_id<'a>(&'a self, id: &'a EventId) -> BoxedFuture<'a, Result<Option<Event>, DatabaseError>> {
        done(self.shelf.lock().get(id).cloned())
    }

    fn count(&self, filter: Filter) -> BoxedFuture<'_, Result<usize, DatabaseError>> {
        done(self.shelf.lock().matching(&filter, self.now()).count())
    }

    fn query(&self, filter: Filter) -> BoxedFuture<'_, Result<Events, DatabaseError>> {
        done(self.matching(&filter))
    }

    fn delete(&self, filter: Filter) -> BoxedFuture<'_, Result<(), DatabaseError>> {
        self.remove(&filter);
        done(())
    }

    fn wipe(&self) -> BoxedFuture<'_, Result<(), DatabaseError>> {
        *self.shelf.lock() = Shelf::default();
        done(())
    }
}
