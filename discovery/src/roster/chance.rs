//! Chance for choosing who gives way: cheap, and no secret depends on it.

/// Marsaglia's xorshift64*.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        // Zero is the one state that it never leaves.
        Self(seed | 1 << 63)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        // Lemire's: the high half of a product, without the bias that matters or the division.
        ((high * bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_drawn_about_as_often() {
        let mut chance = Chance::new(0);
        let mut drawn = [0; 10];
        for _ in 0..10_000 {
            drawn[chance.below(10)] += 1;
        }
        assert!(drawn.iter().all(|&times| (800..1_200).contains(&times)), "{drawn:?}");
        assert_eq!(chance.below(0), 0);
    }
}
