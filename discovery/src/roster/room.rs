//! Who gives way when everything is full.
//!
//! What is gone goes first, then a random one of those that never served us. The one that ends soonest
//! would be the wrong choice: whoever floods announces for a day.

use super::{Announced, Entry, Roster, TakenIn, slot::Slot};
use protocol::Timestamp;
use std::sync::Arc;

impl<A: Clone> Roster<A> {
    /// Whether it would count if nobody else had published it.
    pub(super) fn counts(&self, announced: &Announced, now: Timestamp) -> bool {
        let stands = announced.publication.as_ref().is_none_or(|publication| {
            let ended = publication.lives_until().is_some_and(|until| until < now);
            !ended && !self.deletions.cover(publication)
        });
        stands && !self.withdrew(announced)
    }

    /// Makes the slot live if its announcement counts and there is room.
    pub(super) fn raise(&mut self, place: u32, announced: &Announced, now: Timestamp) -> TakenIn {
        if !self.store.get(place).is_some_and(|slot| slot.is_live(now)) {
            return TakenIn::Gone;
        }
        let entry = Entry::new(announced, |name| self.store.shelves().intern(name));
        if !self.make_room(&entry) {
            return TakenIn::NoRoom;
        }
        self.store.raise(place, Arc::new(entry));
        TakenIn::New
    }

    /// Sees to a free slot. For an announcement that does not count nobody gives way.
    pub(super) fn make_place(&mut self, counts: bool) -> bool {
        while self.store.len() >= self.limits.entries {
            let gone = self.store.draw_gone(&mut self.chance).filter(|_| counts);
            let drawn = gone.or_else(|| self.store.draw_unproven(&mut self.chance).filter(|_| counts));
            let Some(place) = drawn else { return false };
            self.evict(place);
        }
        true
    }

    /// Sees to room for what `entry` says.
    fn make_room(&mut self, entry: &Entry<A>) -> bool {
        let text = |entry: &Entry<A>| entry.signed_bytes();
        let offers = |entry: &Entry<A>| entry.offers().map_or(0, <[_]>::len);
        let (text_most, offers_most) = (self.limits.signed_bytes, self.limits.offers);
        text(entry) <= text_most
            && offers(entry) <= offers_most
            && self.shrink(text, |roster| roster.store.signed_bytes() + text(entry) <= text_most)
            && self.shrink(offers, |roster| roster.store.offers() + offers(entry) <= offers_most)
    }

    fn shrink(&mut self, size: impl Fn(&Entry<A>) -> usize, fits: impl Fn(&Self) -> bool) -> bool {
        while !fits(self) {
            let Some(place) = self.store.draw_largest(&mut self.chance, &size) else { return false };
            self.evict(place);
        }
        true
    }

    fn evict(&mut self, place: u32) {
        self.evicted += u64::from(self.store.get(place).and_then(Slot::entry).is_some());
        self.store.remove(place);
    }
}
