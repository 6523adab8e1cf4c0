//! Lists of places that are left without a search: a slot notes where it stands. It stands in one.

use super::slot::Slot;

pub(super) fn join<A>(list: &mut Vec<u32>, slots: &mut [Option<Slot<A>>], place: u32) {
    if let Some(slot) = &mut slots[place as usize] {
        slot.place = list.len() as u32;
        list.push(place);
    }
}

pub(super) fn leave<A>(list: &mut Vec<u32>, slots: &mut [Option<Slot<A>>], place: u32) {
    let Some(at) = slots[place as usize].as_ref().map(|slot| slot.place) else { return };
    list.swap_remove(at as usize);
    // Who stood last stands there now.
    if let Some(moved) = list.get(at as usize).and_then(|&last| slots[last as usize].as_mut()) {
        moved.place = at;
    }
}
