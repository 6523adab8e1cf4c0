//! What others ask of a roster. None of it changes anything.

use super::{Entry, Roster, slot::Slot};
use nostr_sdk::EventId;
use protocol::{ModelName, NodeId, Timestamp};
use std::{cmp::Ordering, sync::Arc};

impl<A> Roster<A> {
    /// Whether this event was taken in: another relay's copy need not be checked. Only ids of events
    /// that passed every check are known, so nobody suppresses an event by claiming its id.
    pub fn knows(&self, event: &EventId) -> bool {
        self.store.find_event(event).is_some()
    }

    /// Whether an announcement of this node and time would be news: whoever reads a list of a tracker
    /// or a file asks before it checks signatures.
    pub fn wants(&self, node: &NodeId, announced_at: Timestamp) -> bool {
        if self.ignored.contains(node) {
            return false;
        }
        let known = self.store.find(node).and_then(|place| self.store.get(place));
        known.is_none_or(|slot| match slot.announced_at().cmp(&announced_at) {
            Ordering::Less => true,
            Ordering::Equal => slot.entry().is_none(),
            Ordering::Greater => false,
        })
    }

    /// This worker, if it is live.
    pub fn get(&self, node: &NodeId, now: Timestamp) -> Option<Arc<Entry<A>>> {
        let slot = self.store.get(self.store.find(node)?)?;
        slot.entry().filter(|_| slot.is_live(now)).cloned()
    }

    /// Live workers that announce `model`, the default tag being implied: those that served us first,
    /// then others; at most `most`. Each kind begins at a place that moves on with `spread`, so that
    /// a caller who counts up asks everyone in turn.
    pub fn serving(
        &self,
        model: &ModelName,
        most: usize,
        spread: usize,
        now: Timestamp,
    ) -> Vec<Arc<Entry<A>>> {
        let Some(shelf) = self.store.shelf(&model.with_tag()) else { return Vec::new() };
        let places = turned(&shelf.proven, spread).chain(turned(&shelf.others, spread));
        let live = places.filter_map(|&place| self.store.get(place)).filter(|slot| slot.is_live(now));
        live.filter_map(Slot::entry).take(most).cloned().collect()
    }

    /// Every model that somebody announces, its tag made explicit, by name.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.store.shelves().models()
    }

    /// How many workers are live; exact after [`Roster::expire`].
    pub fn len(&self) -> usize {
        self.store.live()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many gave way to others since it was made.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

/// All of a list, begun anew at a place that moves on with `by`.
fn turned(list: &[u32], by: usize) -> impl Iterator<Item = &u32> {
    let (before, after) = list.split_at(by.checked_rem(list.len()).unwrap_or(0));
    after.iter().chain(before)
}
