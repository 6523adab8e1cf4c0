//! The slots, and every way to find one: by node, event, author, model, time, and by chance.
//!
//! **Invariant:** all of them speak of the same slots. They change here and nowhere else.

#[cfg(test)]
mod sound;

use super::{
    chance::Chance,
    entry::Entry,
    limits::DRAWN,
    list::{join, leave},
    prefixes::{Mix, Prefixes},
    published::Noted,
    shelves::{Shelf, Shelves},
    slot::{Slot, State},
};
use crate::event::Publication;
use nostr_sdk::{EventId, PublicKey};
use protocol::{NodeId, Timestamp};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Debug)]
pub(super) struct Store<A> {
    slots: Vec<Option<Slot<A>>>,
    free: Vec<u32>,
    nodes: Prefixes,
    events: Prefixes,
    /// What was published and not taken back.
    authors: BTreeSet<ByAuthor>,
    mix: Mix,
    shelves: Shelves,
    queue: BTreeSet<(Timestamp, u32)>,
    /// Live and never proven: who may give way.
    unproven: Vec<u32>,
    /// Not live any more: who gives way first.
    gone: Vec<u32>,
    live: usize,
    signed_bytes: usize,
    offers: usize,
}

/// The author, mixed; the second, up to the last that fits, in 2106; the place.
type ByAuthor = (u32, u32, u32);

impl<A> Store<A> {
    /// `seed` is one that nobody else knows.
    pub(super) fn new(seed: u64) -> Self {
        let mix = Mix::new(seed);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            nodes: Prefixes::new(mix),
            events: Prefixes::new(mix),
            authors: BTreeSet::new(),
            mix,
            shelves: Shelves::default(),
            queue: BTreeSet::new(),
            unproven: Vec::new(),
            gone: Vec::new(),
            live: 0,
            signed_bytes: 0,
            offers: 0,
        }
    }

    /// Slots of live and of remembered nodes.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn signed_bytes(&self) -> usize {
        self.signed_bytes
    }

    pub(super) fn offers(&self) -> usize {
        self.offers
    }

    pub(super) fn shelves(&self) -> &Shelves {
        &self.shelves
    }

    pub(super) fn shelf(&self, model: &str) -> Option<&Shelf> {
        self.shelves.get(model)
    }

    pub(super) fn get(&self, place: u32) -> Option<&Slot<A>> {
        self.slots.get(place as usize)?.as_ref()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot<A>> {
        self.slots.iter().flatten()
    }

    pub(super) fn find(&self, node: &NodeId) -> Option<u32> {
        let mut places = self.nodes.find(node.as_bytes());
        places.find(|&place| self.get(place).is_some_and(|slot| slot.node() == node))
    }

    /// The slot that one of `event`'s kind published, whether or not it was taken back.
    pub(super) fn find_event(&self, event: &EventId) -> Option<u32> {
        let published = |slot: &Slot<A>| slot.published.all().any(|(known, _)| known.event == *event);
        self.events.find(event.as_bytes()).find(|&place| self.get(place).is_some_and(published))
    }

    /// A slot whose time came before `now`.
    pub(super) fn due(&self, now: Timestamp) -> Option<u32> {
        self.queue.first().filter(|(due, _)| *due < now).map(|&(_, place)| place)
    }

    /// One that is gone, by chance.
    pub(super) fn draw_gone(&self, chance: &mut Chance) -> Option<u32> {
        self.gone.get(chance.below(self.gone.len())).copied()
    }

    /// A live one that never served us, by chance.
    pub(super) fn draw_unproven(&self, chance: &mut Chance) -> Option<u32> {
        self.unproven.get(chance.below(self.unproven.len())).copied()
    }

    /// Of a few such the one with the most of something.
    pub(super) fn draw_largest(&self, chance: &mut Chance, size: impl Fn(&Entry<A>) -> usize) -> Option<u32> {
        let drawn = (0..DRAWN).filter_map(|_| self.draw_unproven(chance));
        drawn.max_by_key(|&place| self.get(place).and_then(Slot::entry).map_or(0, |entry| size(entry)))
    }

    /// A node of which nothing was known. It is not live until [`Store::raise`].
    pub(super) fn insert(&mut self, slot: Slot<A>) -> u32 {
        let node = *slot.node();
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.nodes.insert(node.as_bytes(), place);
        self.queue.insert((slot.due, place));
        self.slots[place as usize] = Some(slot);
        join(&mut self.gone, &mut self.slots, place);
        place
    }

    /// Forgets a node altogether.
    pub(super) fn remove(&mut self, place: u32) {
        self.bury(place);
        self.forget_publications(place);
        leave(&mut self.gone, &mut self.slots, place);
        if let Some(slot) = self.slots[place as usize].take() {
            self.nodes.remove(slot.node().as_bytes(), place);
            self.queue.remove(&(slot.due, place));
            self.free.push(place);
        }
    }

    /// Makes a slot that is gone live.
    pub(super) fn raise(&mut self, place: u32, entry: Arc<Entry<A>>) {
        leave(&mut self.gone, &mut self.slots, place);
        self.live += 1;
        self.signed_bytes += entry.signed_bytes();
        self.offers += entry.offers().map_or(0, <[_]>::len);
        if let Some(slot) = &mut self.slots[place as usize] {
            slot.state = State::Live(entry);
        }
        self.show(place);
        self.reschedule(place);
    }

    /// Makes a live slot gone; gives what it said.
    pub(super) fn bury(&mut self, place: u32) -> Option<Arc<Entry<A>>> {
        self.get(place)?.entry()?;
        self.hide(place);
        let entry = self.slots[place as usize].as_mut()?.bury()?;
        self.live -= 1;
        self.signed_bytes -= entry.signed_bytes();
        self.offers -= entry.offers().map_or(0, <[_]>::len);
        join(&mut self.gone, &mut self.slots, place);
        self.reschedule(place);
        Some(entry)
    }

    pub(super) fn set_proven(&mut self, place: u32, proven: bool) {
        let Some(slot) = self.get(place).filter(|slot| slot.proven != proven) else { return };
        let live = slot.entry().is_some();
        if live {
            self.hide(place);
        }
        if let Some(slot) = &mut self.slots[place as usize] {
            slot.proven = proven;
        }
        if live {
            self.show(place);
        }
    }

    /// Changes what is neither found by nor counted, and looks anew when the slot is due.
    pub(super) fn change(&mut self, place: u32, change: impl FnOnce(&mut Slot<A>)) {
        if let Some(slot) = &mut self.slots[place as usize] {
            change(slot);
        }
        self.reschedule(place);
    }

    /// Notes who published the slot's announcement; `deleted` if that was taken back before it came.
    pub(super) fn publish(&mut self, place: u32, publication: Publication, deleted: bool) {
        let Some(slot) = &mut self.slots[place as usize] else { return };
        let noted = slot.published.note(publication, deleted);
        if let Noted::Instead(before) = noted {
            self.unlist(place, &before);
        }
        if noted != Noted::Nothing {
            self.events.insert(publication.event.as_bytes(), place);
            if !deleted {
                self.authors.insert(by_author(self.mix, &publication, place));
            }
        }
        self.reschedule(place);
    }

    pub(super) fn forget_publications(&mut self, place: u32) {
        let Some(slot) = &mut self.slots[place as usize] else { return };
        for (publication, _) in std::mem::take(&mut slot.published).all() {
            self.unlist(place, publication);
        }
    }

    /// Takes back an event of `author`. Gives the slot that it published.
    pub(super) fn delete_event(&mut self, author: &PublicKey, event: &EventId) -> Option<u32> {
        let place = self.find_event(event)?;
        let taken_back = self.slots[place as usize].as_mut()?.published.delete_event(author, event)?;
        self.authors.remove(&by_author(self.mix, &taken_back, place));
        Some(place)
    }

    /// Takes back all that `author` published until `second`. Gives the slots that it published.
    pub(super) fn delete_until(&mut self, author: &PublicKey, second: u64) -> Vec<u32> {
        let mixed = self.mix.of(author.as_bytes());
        let listed = self.authors.range((mixed, 0, 0)..=(mixed, fitting(second), u32::MAX));
        let mut places: Vec<u32> = listed.map(|&(_, _, place)| place).collect();
        places.retain(|&place| {
            let slot = self.slots[place as usize].as_mut();
            let taken_back = slot.and_then(|slot| slot.published.delete_until(author, second));
            taken_back
                .is_some_and(|publication| self.authors.remove(&by_author(self.mix, &publication, place)))
        });
        places
    }

    fn unlist(&mut self, place: u32, publication: &Publication) {
        self.events.remove(publication.event.as_bytes(), place);
        self.authors.remove(&by_author(self.mix, publication, place));
    }

    fn reschedule(&mut self, place: u32) {
        let Some(slot) = &mut self.slots[place as usize] else { return };
        let next = slot.next_due();
        if next != slot.due {
            self.queue.remove(&(slot.due, place));
            self.queue.insert((next, place));
            slot.due = next;
        }
    }

    fn show(&mut self, place: u32) {
        self.shelves.put(&mut self.slots, place);
        if self.get(place).is_some_and(|slot| !slot.proven) {
            join(&mut self.unproven, &mut self.slots, place);
        }
    }

    fn hide(&mut self, place: u32) {
        self.shelves.take(&mut self.slots, place);
        if self.get(place).is_some_and(|slot| !slot.proven) {
            leave(&mut self.unproven, &mut self.slots, place);
        }
    }
}

fn by_author(mix: Mix, publication: &Publication, place: u32) -> ByAuthor {
    (mix.of(publication.author.as_bytes()), fitting(publication.created_at), place)
}

fn fitting(second: u64) -> u32 {
    second.try_into().unwrap_or(u32::MAX)
}
