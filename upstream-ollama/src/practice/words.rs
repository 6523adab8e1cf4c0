//! Practice text: words drawn by a small generator of random numbers, the same for the same question.

/// Said first in every answer, so that nobody takes the rest for a model's.
const PREFACE: &[&str] = &["Practice", "text", "from", "no", "model", "at", "all:"];

const WORDS: &[&str] = &[
    "anchor",
    "barge",
    "bay",
    "beacon",
    "boat",
    "bow",
    "breeze",
    "bridge",
    "buoy",
    "cabin",
    "canal",
    "cargo",
    "chart",
    "claw",
    "coast",
    "compass",
    "coral",
    "crab",
    "crew",
    "current",
    "deck",
    "deep",
    "dock",
    "drift",
    "dune",
    "ebb",
    "ferry",
    "fjord",
    "float",
    "fog",
    "foam",
    "galley",
    "gull",
    "harbour",
    "haul",
    "helm",
    "horizon",
    "hull",
    "island",
    "jetty",
    "keel",
    "kelp",
    "knot",
    "lagoon",
    "lantern",
    "lighthouse",
    "lobster",
    "mast",
    "mooring",
    "net",
    "oar",
    "ocean",
    "pearl",
    "pier",
    "port",
    "quay",
    "raft",
    "reef",
    "rope",
    "rudder",
    "sail",
    "salt",
    "sand",
    "shell",
    "shore",
    "sound",
    "spray",
    "storm",
    "tide",
    "trap",
    "voyage",
    "wave",
];

/// SplitMix64 (Steele, Lea and Flood, 2014): one word of state, good enough to pick words.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The state for a text: FNV-1a of its bytes.
    pub(super) fn of(text: &str, seed: u64) -> Random {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Random(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0. The bias is of no matter here.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Between -1 and 1.
    pub(super) fn unit(&mut self) -> f32 {
        // 24 bits are what an f32 holds exactly.
        let bits = (self.next() >> 40) as f32;
        bits / (1_u32 << 23) as f32 - 1.0
    }

    pub(super) fn word(&mut self) -> &'static str {
        let index = self.below(WORDS.len() as u64) as usize;
        WORDS[index]
    }
}

/// An endless text, a token at a time. A token is a word with the space before it.
#[derive(Clone, Debug)]
pub(super) struct Text {
    random: Random,
    said: usize,
}

impl Text {
    pub(super) fn new(random: Random) -> Text {
        Text { random, said: 0 }
    }
}

impl Iterator for Text {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let word = PREFACE.get(self.said).copied().unwrap_or_else(|| self.random.word());
        let token = if self.said == 0 { word.to_owned() } else { format!(" {word}") };
        self.said += 1;
        Some(token)
    }
}

/// Tokens of a text, as this engine counts them.
pub(super) fn count(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_gives_the_same_text() {
        let text = |question, seed| Text::new(Random::of(question, seed)).take(20).collect::<String>();
        assert_eq!(text("a", 1), text("a", 1));
        assert_ne!(text("a", 1), text("a", 2));
        assert_ne!(text("a", 1), text("b", 1));
        assert!(text("a", 1).starts_with("Practice text from no model at all: "));
        assert_eq!(count(&text("a", 1)), 20);
    }

    #[test]
    fn units_stay_within_one() {
        let mut random = Random::of("", 0);
        assert!((0..1000).map(|_| random.unit()).all(|unit| (-1.0..=1.0).contains(&unit)));
    }
}
