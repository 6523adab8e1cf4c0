//! The strangers that there are now: what live announcements say.
//!
//! Pure: `now` is a parameter, and whoever shares a roster locks it. Everything in it came from
//! strangers, so everything is bounded (`limits`), and no stranger changes what is known of another:
//! the newest announcement of a node counts, a Nostr key takes back only what it published itself, and
//! in a flood those that served us keep their place. The same events give the same roster in any order.

mod ask;
mod chance;
mod deletions;
mod entry;
pub mod limits;
mod list;
mod packed;
mod prefixes;
mod proofs;
mod published;
mod room;
mod shelves;
mod slot;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;

pub use entry::{Entry, Offer, Room, Source};
pub use limits::Limits;
pub use snapshot::{Kept, Snapshot};

use crate::event::{Announced, Checked, Deleted};
use chance::Chance;
use deletions::Deletions;
use proofs::Proofs;
use protocol::{NodeId, Timestamp, Withdrawal};
use slot::Slot;
use std::{cmp::Ordering, collections::HashSet};
use store::Store;

/// What came of something that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenIn {
    /// A worker that was not there before.
    New,
    /// A newer announcement of a worker that is there; `material` if it says anything else than the
    /// one before, but for its times.
    Newer {
        /// URL, label, tier, room, models, speeds, prices or protocol changed.
        material: bool,
    },
    /// What is known already; perhaps published by one more key.
    Known,
    /// A newer announcement of this worker is known.
    Older,
    /// An announcement that was taken back before it came, or that ended.
    Gone,
    /// So many workers left by this deletion, or by an announcement that had been taken back.
    Withdrawn {
        /// How many.
        entries: usize,
    },
    /// A deletion by which nobody left. It is remembered.
    Noted,
    /// A friend, or this node itself: no stranger.
    Ignored,
    /// All places are taken by workers that served us.
    NoRoom,
}

/// Live announcements of strangers. `A` is what its owner attaches to an entry; a clone of it moves
/// along to the next announcement of the same URL.
#[derive(Debug)]
pub struct Roster<A> {
    limits: Limits,
    store: Store<A>,
    proofs: Proofs,
    deletions: Deletions,
    ignored: HashSet<NodeId>,
    chance: Chance,
    evicted: u64,
}

impl<A: Clone> Roster<A> {
    /// An empty one. `seed` decides who gives way in a flood, and where keys are filed: take a number that
    /// others cannot know.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            store: Store::new(seed),
            proofs: Proofs::new(limits.proven),
            deletions: Deletions::new(&limits),
            ignored: HashSet::new(),
            chance: Chance::new(seed),
            evicted: 0,
        }
    }

    /// Takes in what was checked. Whoever is no longer live leaves first.
    pub fn take_in(&mut self, checked: Checked, now: Timestamp) -> TakenIn {
        self.expire(now);
        match checked {
            Checked::Announced(announced) => self.announced(&announced, now),
            Checked::Deleted(deleted) => self.deleted(&deleted, now),
            Checked::Withdrawn(withdrawal) => self.withdrawn(&withdrawal),
        }
    }

    fn announced(&mut self, announced: &Announced, now: Timestamp) -> TakenIn {
        let node = announced.node();
        if self.ignored.contains(&node) {
            return TakenIn::Ignored;
        }
        if announced.announcement.lives_until() < now {
            return TakenIn::Gone;
        }
        let Some(place) = self.store.find(&node) else { return self.newcomer(announced, now) };
        let age = self.store.get(place).map_or(Ordering::Less, |slot| slot.age_of(announced));
        match age {
            Ordering::Less => {
                let until = announced.announcement.lives_until();
                self.store.change(place, |slot| slot.remembered_until = slot.remembered_until.max(until));
                TakenIn::Older
            }
            Ordering::Equal => self.again(place, announced, now),
            Ordering::Greater => self.newer(place, announced, now),
        }
    }

    fn newcomer(&mut self, announced: &Announced, now: Timestamp) -> TakenIn {
        let counts = self.counts(announced, now);
        if !self.make_place(counts) {
            return if counts { TakenIn::NoRoom } else { TakenIn::Gone };
        }
        let proven = self.proofs.contains(&announced.node());
        let place = self.store.insert(Slot::new(announced, self.withdrew(announced), proven));
        self.publish(place, announced);
        self.raise(place, announced, now)
    }

    /// The announcement that is known, perhaps published by another key.
    fn again(&mut self, place: u32, announced: &Announced, now: Timestamp) -> TakenIn {
        self.publish(place, announced);
        if self.leaves(place, now) {
            // This is the last that its author published, and was taken back before it came.
            return TakenIn::Withdrawn { entries: 1 };
        }
        if self.store.get(place).is_some_and(|slot| slot.entry().is_some()) {
            return TakenIn::Known;
        }
        self.raise(place, announced, now)
    }

    fn newer(&mut self, place: u32, announced: &Announced, now: Timestamp) -> TakenIn {
        let before = self.store.bury(place);
        self.store.forget_publications(place);
        let withdrawn = self.withdrew(announced);
        self.store.change(place, |slot| slot.renew(announced, withdrawn));
        self.publish(place, announced);
        let raised = self.raise(place, announced, now);
        let (Some(before), Some(entry)) = (&before, self.store.get(place).and_then(Slot::entry)) else {
            let left = before.is_some() && raised == TakenIn::Gone;
            return if left { TakenIn::Withdrawn { entries: 1 } } else { raised };
        };
        if entry.url == before.url
            && let Some(attached) = before.attached.get()
        {
            let _ = entry.attached.set(attached.clone());
        }
        TakenIn::Newer { material: entry.differs(before) }
    }

    fn deleted(&mut self, deleted: &Deleted, now: Timestamp) -> TakenIn {
        self.deletions.note(deleted);
        let mut places: Vec<u32> = deleted
            .events()
            .iter()
            .filter_map(|event| self.store.delete_event(&deleted.author(), event))
            .collect();
        if let Some(second) = deleted.up_to() {
            places.extend(self.store.delete_until(&deleted.author(), second));
        }
        let left = places.into_iter().filter(|&place| self.leaves(place, now)).count();
        if left > 0 { TakenIn::Withdrawn { entries: left } } else { TakenIn::Noted }
    }

    fn withdrawn(&mut self, withdrawal: &Withdrawal) -> TakenIn {
        self.deletions.note_withdrawal(withdrawal);
        let Some(place) = self.store.find(&withdrawal.node()) else { return TakenIn::Noted };
        if self.store.get(place).is_some_and(|slot| slot.announced_at() > withdrawal.at()) {
            return TakenIn::Noted;
        }
        self.store.change(place, |slot| slot.withdrawn = true);
        let left = self.store.bury(place).is_some();
        if left { TakenIn::Withdrawn { entries: 1 } } else { TakenIn::Noted }
    }

    /// Drops what is no longer live at `now`, and forgets what cannot be heard again. Gives how many
    /// workers left. Costs nothing while nobody is due.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let mut left = 0;
        while let Some(place) = self.store.due(now) {
            left += usize::from(self.leaves(place, now));
            if self.store.get(place).is_none_or(|slot| slot.remembered_until < now) {
                self.store.remove(place);
            }
        }
        left
    }

    /// This stranger served us well. It is asked before others and gives way to nobody, also when it
    /// comes back after a while; [`limits::PROVEN_MAX`] are remembered.
    pub fn prove(&mut self, node: &NodeId) {
        let displaced = self.proofs.add(*node);
        for (node, proven) in [(Some(*node), true), (displaced, false)] {
            if let Some(place) = node.and_then(|node| self.store.find(&node)) {
                self.store.set_proven(place, proven);
            }
        }
    }

    /// Friends with a URL and this node itself: no strangers. They leave, and are refused from now on.
    pub fn set_ignored(&mut self, nodes: HashSet<NodeId>) {
        for node in &nodes {
            if let Some(place) = self.store.find(node) {
                self.store.remove(place);
            }
        }
        self.ignored = nodes;
    }

    /// Everybody leaves. Who served us, what was taken back and who is no stranger are remembered.
    /// `seed` as in [`Roster::new`].
    pub fn clear(&mut self, seed: u64) {
        self.store = Store::new(seed);
    }

    fn leaves(&mut self, place: u32, now: Timestamp) -> bool {
        let live = self.store.get(place).is_some_and(|slot| slot.is_live(now));
        if live {
            // One that published it took it back, or its event ended; another still counts.
            self.store.change(place, |_| ());
        }
        !live && self.store.bury(place).is_some()
    }

    /// Notes who published the announcement of the slot.
    fn publish(&mut self, place: u32, announced: &Announced) {
        match announced.publication {
            Some(publication) => {
                let deleted = self.deletions.cover(&publication);
                self.store.publish(place, publication, deleted);
            }
            None => self.store.change(place, |slot| slot.published.note_tracker()),
        }
    }

    fn withdrew(&self, announced: &Announced) -> bool {
        self.deletions.withdrew(&announced.node(), announced.announcement.announced_at)
    }
}
