//! Who serves which model.

use super::slot::Slot;
use std::{collections::BTreeMap, sync::Arc};

/// A shelf for each model that somebody offers, under its name with the tag made explicit. A place in
/// it is found again, and left, without a search: the slot notes where it stands.
#[derive(Debug, Default)]
pub(super) struct Shelves(BTreeMap<Arc<str>, Shelf>);

/// Places of live entries; those that served us apart.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) proven: Vec<u32>,
    pub(super) others: Vec<u32>,
}

impl Shelf {
    fn side(&mut self, proven: bool) -> &mut Vec<u32> {
        if proven { &mut self.proven } else { &mut self.others }
    }
}

impl Shelves {
    /// One shared text for equal names.
    pub(super) fn intern(&self, model: &str) -> Arc<str> {
        self.0.get_key_value(model).map_or_else(|| model.into(), |(known, _)| Arc::clone(known))
    }

    pub(super) fn get(&self, model: &str) -> Option<&Shelf> {
        self.0.get(model)
    }

    /// Every model that somebody offers, by name.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Puts the live entry at `place` on the shelves of its models.
    pub(super) fn put<A>(&mut self, slots: &mut [Option<Slot<A>>], place: u32) {
        let Some(slot) = &mut slots[place as usize] else { return };
        let Some(offers) = slot.entry().and_then(|entry| entry.offers()) else { return };
        let stand = |offer: &super::Offer| {
            let side = self.0.entry(Arc::clone(offer.name())).or_default().side(slot.proven);
            side.push(place);
            side.len() as u32 - 1
        };
        slot.shelved = offers.iter().map(stand).collect();
    }

    /// Takes it off again.
    pub(super) fn take<A>(&mut self, slots: &mut [Option<Slot<A>>], place: u32) {
        let Some(slot) = &mut slots[place as usize] else { return };
        let (Some(entry), proven) = (slot.entry().cloned(), slot.proven) else { return };
        let stood = std::mem::take(&mut slot.shelved);
        for (offer, at) in entry.offers().unwrap_or_default().iter().zip(stood) {
            let Some(shelf) = self.0.get_mut(offer.name()) else { continue };
            let side = shelf.side(proven);
            side.swap_remove(at as usize);
            // Who stood last stands there now.
            if let Some(moved) = side.get(at as usize).and_then(|&last| slots[last as usize].as_mut()) {
                moved.stands_at(offer.model(), at);
            }
            if shelf.proven.is_empty() && shelf.others.is_empty() {
                self.0.remove(offer.name());
            }
        }
    }
}

impl<A> Slot<A> {
    fn stands_at(&mut self, model: &str, at: u32) {
        let offers = self.entry().and_then(|entry| entry.offers()).unwrap_or_default();
        if let Ok(of_model) = offers.binary_search_by(|offer| offer.model().cmp(model)) {
            self.shelved[of_model] = at;
        }
    }
}
