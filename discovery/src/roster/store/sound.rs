//! The store's invariant, by looking at everything.

use super::{Slot, Store, by_author};
use std::collections::{BTreeMap, BTreeSet};

impl<A> Store<A> {
    pub(in crate::roster) fn assert_sound(&self) {
        let slots: Vec<(u32, &Slot<A>)> =
            (0..self.slots.len() as u32).filter_map(|place| Some((place, self.get(place)?))).collect();
        let live = || slots.iter().filter_map(|(place, slot)| Some((*place, *slot, slot.entry()?)));

        assert_eq!((self.len(), self.live()), (slots.len(), live().count()));
        assert_eq!(self.signed_bytes, live().map(|(.., entry)| entry.signed_bytes()).sum::<usize>());
        assert_eq!(
            self.offers,
            live().map(|(.., entry)| entry.offers().map_or(0, <[_]>::len)).sum::<usize>()
        );

        assert_eq!(self.nodes.len(), slots.len());
        for (place, slot) in &slots {
            assert_eq!(self.find(slot.node()), Some(*place));
            assert_eq!(slot.due, slot.next_due());
            assert!(slot.due <= slot.remembered_until);
        }
        assert_eq!(self.queue, slots.iter().map(|(place, slot)| (slot.due, *place)).collect());

        let published = || slots.iter().flat_map(|(place, slot)| slot.published.all().map(|p| (*place, p)));
        assert_eq!(self.events.len(), published().count());
        for (place, (publication, _)) in published() {
            assert_eq!(self.find_event(&publication.event), Some(place));
        }
        let standing = published().filter(|(_, (_, deleted))| !deleted);
        assert_eq!(
            self.authors,
            standing.map(|(place, (publication, _))| by_author(self.mix, publication, place)).collect()
        );

        let unproven: BTreeSet<u32> =
            live().filter(|(_, slot, _)| !slot.proven).map(|(place, ..)| place).collect();
        let gone = slots.iter().filter(|(_, slot)| slot.entry().is_none()).map(|(place, _)| *place).collect();
        for (list, expected) in [(&self.unproven, unproven), (&self.gone, gone)] {
            assert_eq!(list.iter().copied().collect::<BTreeSet<_>>(), expected);
            let stands =
                |(at, place): (usize, &u32)| self.get(*place).is_some_and(|slot| slot.place as usize == at);
            assert!(list.iter().enumerate().all(stands));
        }
        self.assert_shelves_equal_a_scan();
    }

    fn assert_shelves_equal_a_scan(&self) {
        let mut scanned: BTreeMap<&str, (BTreeSet<u32>, BTreeSet<u32>)> = BTreeMap::new();
        for (place, slot) in
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at as u32, slot.as_ref()?)))
        {
            let offers = slot.entry().and_then(|entry| entry.offers()).unwrap_or_default();
            assert_eq!(slot.shelved.len(), offers.len());
            for (offer, at) in offers.iter().zip(&slot.shelved) {
                let (proven, others) = scanned.entry(offer.model()).or_default();
                let shelf = self.shelf(offer.model()).expect("a shelf for what is offered");
                let (side, set) = if slot.proven { (&shelf.proven, proven) } else { (&shelf.others, others) };
                assert_eq!(side[*at as usize], place);
                set.insert(place);
            }
        }
        assert!(self.shelves.models().eq(scanned.keys().copied()));
        for (model, (proven, others)) in scanned {
            let shelf = self.shelf(model).expect("a shelf for what is offered");
            assert_eq!((shelf.proven.len(), shelf.others.len()), (proven.len(), others.len()));
        }
    }
}
