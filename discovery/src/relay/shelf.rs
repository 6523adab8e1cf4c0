//! The events that a closed group's relay keeps. Pure, and bounded whatever arrives.
//!
//! Replaceable by author and address (NIP-01), deletable by their author (NIP-09), gone when they
//! expire (NIP-40). What has lain longest makes room: live nodes announce themselves again and again.

use nostr_sdk::{Event, EventId, Filter, Kind, PublicKey, filter::MatchEventOptions};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Events kept.
pub(crate) const EVENTS_MAX: usize = 10_000;

/// Their texts all together. An answer to one question is at most so long.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events kept of one key: its announcement, deletions, its latest receipts.
const EVENTS_PER_KEY_MAX: usize = 100;

/// Why an event is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotKept {
    Duplicate,
    Expired,
    Deleted,
    Replaced,
    /// Addressable, and without an address.
    NoAddress,
}

type Address = (Kind, PublicKey, String);

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    events: HashMap<EventId, Kept>,
    /// By arrival, the oldest first.
    arrivals: BTreeMap<u64, EventId>,
    addresses: HashMap<Address, EventId>,
    authors: HashMap<PublicKey, BTreeSet<u64>>,
    bytes: usize,
    arrived: u64,
}

#[derive(Debug)]
struct Kept {
    event: Event,
    arrival: u64,
    bytes: usize,
}

impl Shelf {
    /// Keeps an event whose signature was checked. `now` in Unix seconds.
    pub(crate) fn save(&mut self, event: &Event, now: u64) -> Result<(), NotKept> {
        self.check(event, now)?;
        let address = address(event);
        if let Some(replaced) = address.as_ref().and_then(|address| self.addresses.get(address)).copied() {
            self.remove(&replaced);
        }
        if event.kind == Kind::EventDeletion {
            for id in self.deleted_by(event) {
                self.remove(&id);
            }
        }
        self.insert(event, address);
        self.make_room(&event.pubkey);
        Ok(())
    }

    /// Whether [`Shelf::save`] would keep it.
    pub(crate) fn check(&self, event: &Event, now: u64) -> Result<(), NotKept> {
        if self.events.contains_key(&event.id) {
            return Err(NotKept::Duplicate);
        }
        if event.is_expired_at(&now.into()) {
            return Err(NotKept::Expired);
        }
        let address = address(event);
        if event.kind.is_addressable() && address.is_none() {
            return Err(NotKept::NoAddress);
        }
        let kept = address.as_ref().and_then(|address| self.addresses.get(address));
        if kept.and_then(|id| self.events.get(id)).is_some_and(|kept| is_later(&kept.event, event)) {
            return Err(NotKept::Replaced);
        }
        if self.of(&event.pubkey).any(|deletion| deletes(deletion, event)) {
            return Err(NotKept::Deleted);
        }
        Ok(())
    }

    /// Whether it is kept.
    pub(crate) fn get(&self, id: &EventId) -> Option<&Event> {
        self.events.get(id).map(|kept| &kept.event)
    }

    /// All that match and live at `now` (Unix seconds), in no order.
    pub(crate) fn matching<'a>(&'a self, filter: &'a Filter, now: u64) -> impl Iterator<Item = &'a Event> {
        let events = self.events.values().map(|kept| &kept.event);
        events.filter(move |event| {
            filter.match_event(event, MatchEventOptions::new()) && !event.is_expired_at(&now.into())
        })
    }

    /// Removes one, if it is there.
    pub(crate) fn remove(&mut self, id: &EventId) {
        let Some(kept) = self.events.remove(id) else { return };
        self.arrivals.remove(&kept.arrival);
        self.bytes -= kept.bytes;
        if let Some(address) = address(&kept.event)
            && self.addresses.get(&address) == Some(id)
        {
            self.addresses.remove(&address);
        }
        if let Some(arrivals) = self.authors.get_mut(&kept.event.pubkey) {
            arrivals.remove(&kept.arrival);
            if arrivals.is_empty() {
                self.authors.remove(&kept.event.pubkey);
            }
        }
    }

    fn insert(&mut self, event: &Event, address: Option<Address>) {
        self.arrived += 1;
        let (arrival, bytes) = (self.arrived, bytes(event));
        self.bytes += bytes;
        self.arrivals.insert(arrival, event.id);
        self.authors.entry(event.pubkey).or_default().insert(arrival);
        if let Some(address) = address {
            self.addresses.insert(address, event.id);
        }
        self.events.insert(event.id, Kept { event: event.clone(), arrival, bytes });
    }

    fn make_room(&mut self, author: &PublicKey) {
        while self.authors.get(author).is_some_and(|arrivals| arrivals.len() > EVENTS_PER_KEY_MAX) {
            let oldest = self.authors.get(author).and_then(|arrivals| arrivals.first());
            let Some(id) = oldest.and_then(|arrival| self.arrivals.get(arrival)).copied() else { return };
            self.remove(&id);
        }
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(id) = self.arrivals.values().next().copied() else { return };
            self.remove(&id);
        }
    }

    fn of(&self, author: &PublicKey) -> impl Iterator<Item = &Event> {
        let arrivals = self.authors.get(author).into_iter().flatten();
        let ids = arrivals.filter_map(|arrival| self.arrivals.get(arrival));
        ids.filter_map(|id| self.get(id))
    }

    fn deleted_by(&self, deletion: &Event) -> Vec<EventId> {
        let own = self.of(&deletion.pubkey).filter(|event| deletes(deletion, event));
        own.map(|event| event.id).collect()
    }
}

/// Of two events at one address, whether `one` is kept and not `other`: the later, or of the same
/// second the one with the lower id (NIP-01).
fn is_later(one: &Event, other: &Event) -> bool {
    one.created_at > other.created_at || (one.created_at == other.created_at && one.id < other.id)
}

/// Whether `deletion` takes away `event`: by the same author, by id, or by address up to its date.
/// A deletion cannot be deleted.
fn deletes(deletion: &Event, event: &Event) -> bool {
    let names = |name: &str, value: &str| {
        let mut tags = deletion.tags.iter().map(|tag| tag.as_slice());
        tags.any(|values| values[0] == name && values.get(1).is_some_and(|named| named == value))
    };
    deletion.kind == Kind::EventDeletion
        && event.kind != Kind::EventDeletion
        && deletion.pubkey == event.pubkey
        && (names("e", &event.id.to_hex())
            || (event.created_at <= deletion.created_at
                && address(event).is_some_and(|(kind, author, identifier)| {
                    names("a", &format!("{}:{author}:{identifier}", kind.as_u16()))
                })))
}

fn address(event: &Event) -> Option<Address> {
    let addressable = event.kind.is_addressable();
    let identifier = event.tags.identifier().filter(|_| addressable)?;
    Some((event.kind, event.pubkey, identifier.to_owned()))
}

/// What an event takes, roughly: its texts, and what comes with each.
fn bytes(event: &Event) -> usize {
    let tags: usize = event.tags.iter().flat_map(|tag| tag.as_slice()).map(|text| text.len() + 32).sum();
    event.content.len() + tags + 512
}

#[cfg(test)]
#[path = "shelf/tests.rs"]
mod tests;
