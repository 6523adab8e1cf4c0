//! Whether a prompt fits the context that a model runs with: pure.
//!
//! Asked through `/v1`, Ollama cuts a prompt that is too long and says nothing. So what goes there as it came is
//! what surely fits; everything else goes by Ollama's own API ([`crate::native`]), which can be told how much
//! context to use and to refuse rather than to cut. Nobody but the engine can count tokens: three counts stand in
//! for it, of which each errs on the side that it is needed for.

mod prompt;

pub use prompt::{Prompt, may_exceed};

/// What Ollama gives a model where nobody says otherwise and the machine is small.
pub const OLLAMA_DEFAULT: u64 = 4096;

/// A token is a byte at least: so many bytes surely make no more tokens than this. Tables of numbers come close.
const BYTES_A_TOKEN_MIN: u64 = 1;

/// Prose has four bytes in a token, and code and other languages less: so much room is asked for.
const BYTES_A_TOKEN: u64 = 3;

/// No text has more: what does not fit by this count fits by none.
const BYTES_A_TOKEN_MAX: u64 = 12;

/// What is said of a prompt that nobody counted.
const BYTES_A_TOKEN_OF_PROSE: u64 = 4;

/// Models take a picture for some hundred to some thousand tokens.
const TOKENS_AN_IMAGE: u64 = 1024;
const TOKENS_AN_IMAGE_MAX: u64 = 4096;

/// An answer is given so much room at least.
const OUTPUT_MIN: u64 = 512;

/// How much context a model runs with, as far as it is known, and how much it may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What a request through `/v1` gets.
    in_use: Option<u64>,
    /// What the model is loaded with now.
    loaded: Option<u64>,
    /// What it is loaded with since we asked for that. A request through `/v1` would load it anew.
    raised: Option<u64>,
    most: u64,
}

/// What is known of a model's context, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What it was trained for.
    pub trained: Option<u64>,
    /// What a request gets that says nothing: by its Modelfile, or as it was seen.
    pub by_default: Option<u64>,
    /// What it is loaded with.
    pub loaded: Option<u64>,
    /// What we asked for last.
    pub asked: Option<u64>,
}

impl Room {
    /// `max_context` is what the owner lets a prompt ask for. What a model runs with anyhow is never too much.
    pub fn new(known: Known, max_context: u64) -> Self {
        let trained = known.trained.unwrap_or(u64::MAX).max(1);
        let in_use = known.by_default.map(|tokens| tokens.min(trained));
        let loaded = known.loaded.map(|tokens| tokens.min(trained));
        let raised = loaded.filter(|loaded| known.asked == Some(*loaded) && in_use != Some(*loaded));
        let anyhow = in_use.or(loaded.filter(|_| raised.is_none())).unwrap_or(OLLAMA_DEFAULT);
        Self { in_use, loaded, raised, most: max_context.max(anyhow).min(trained) }
    }

    /// The most tokens of context that the model is given.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Whether the engine says with how much it runs models. One that does not may be no Ollama, and cut nothing.
    pub fn is_told(&self) -> bool {
        self.in_use.is_some() || self.loaded.is_some()
    }

    /// What a request through `/v1` runs with, where that is known.
    pub fn in_use(&self) -> Option<u64> {
        self.in_use
    }

    /// What a request through `/v1` surely gets.
    fn surely(&self) -> u64 {
        let unknown = || self.loaded.unwrap_or(OLLAMA_DEFAULT).min(OLLAMA_DEFAULT);
        self.in_use.unwrap_or_else(unknown).min(self.most)
    }

    /// The least that `tokens` fit in: what the model is loaded with, or the default doubled and doubled again. What
    /// fits in nothing gets all there is.
    fn step(&self, tokens: u64) -> u64 {
        let mut step = self.surely().max(1);
        while step < tokens && step < self.most {
            step = step.saturating_mul(2);
        }
        // What is loaded already costs nothing; less of it would load the model anew.
        step.max(self.loaded.unwrap_or(0)).min(self.most)
    }
}

/// How a request is put to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Through `/v1`, byte for byte: it surely fits.
    Plain,
    /// By Ollama's own API, with so much context.
    Native { num_ctx: u64 },
    /// Not at all: it surely does not fit.
    TooLong,
}

/// Whether a body goes through `/v1` whatever stands in it: it has no more bytes than there is room for tokens. Spares
/// reading it.
pub fn is_small(room: &Room, body_bytes: usize, output: Option<u64>, makes_text: bool) -> bool {
    let output = if makes_text { output.unwrap_or(0).max(OUTPUT_MIN) } else { 0 };
    room.raised.is_none() && (body_bytes as u64).saturating_add(output) <= room.surely()
}

/// How a request with this prompt is put to the engine.
pub fn plan(room: &Room, prompt: &Prompt) -> Plan {
    if prompt.tokens_min() > room.most {
        return Plan::TooLong;
    }
    let output = prompt.output();
    if room.raised.is_none() && prompt.tokens_max().saturating_add(output) <= room.surely() {
        return Plan::Plain;
    }
    Plan::Native { num_ctx: room.step(prompt.tokens_likely().saturating_add(output)) }
}

/// Whether a prompt that can only go through `/v1` may go there: by the likely count it fits, and somebody looks at the
/// engine's own count afterwards.
pub fn may_be_plain(room: &Room, prompt: &Prompt) -> bool {
    let context = room.in_use.or(room.loaded.filter(|_| room.raised.is_none()));
    let context = context.unwrap_or(OLLAMA_DEFAULT).min(room.most);
    prompt.tokens_likely().saturating_add(prompt.output()) <= context
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(known: Known) -> Room {
        Room::new(known, 32_768)
    }

    fn prompt(bytes: u64) -> Prompt {
        Prompt::of_text(bytes, Some(100))
    }

    #[test]
    fn what_surely_fits_goes_as_it_came_and_the_rest_gets_the_smallest_step() {
        let small = room(Known { by_default: Some(4096), ..Known::default() });
        assert!(is_small(&small, 3584, None, true) && !is_small(&small, 3585, None, true));
        assert!(is_small(&small, 4096, None, false));
        assert_eq!(plan(&small, &prompt(3584)), Plan::Plain);
        assert_eq!(plan(&small, &prompt(3585)), Plan::Native { num_ctx: 4096 });
        assert_eq!(plan(&small, &prompt(30_000)), Plan::Native { num_ctx: 16_384 });
        assert_eq!(plan(&small, &prompt(200_000)), Plan::Native { num_ctx: 32_768 });
        assert_eq!(plan(&small, &prompt(400_000)), Plan::TooLong);
    }

    #[test]
    fn an_answer_has_the_room_that_was_asked_for_it() {
        let small = room(Known { by_default: Some(4096), ..Known::default() });
        let long_answer = Prompt::of_text(100, Some(6000));
        assert!(!is_small(&small, 100, Some(6000), true));
        assert_eq!(plan(&small, &long_answer), Plan::Native { num_ctx: 8192 });
    }

    #[test]
    fn a_model_that_is_loaded_with_enough_is_not_loaded_anew() {
        let by_others = room(Known { loaded: Some(16_384), ..Known::default() });
        assert!(is_small(&by_others, 3000, None, true));
        assert_eq!(plan(&by_others, &prompt(20_000)), Plan::Native { num_ctx: 16_384 });
        let by_us = room(Known { loaded: Some(16_384), asked: Some(16_384), ..Known::default() });
        assert!(!is_small(&by_us, 10, None, true));
        assert_eq!(plan(&by_us, &prompt(10)), Plan::Native { num_ctx: 16_384 });
        let as_ever =
            room(Known { by_default: Some(8192), loaded: Some(8192), asked: Some(8192), trained: None });
        assert!(is_small(&as_ever, 10, None, true));
    }

    #[test]
    fn a_model_gets_no_more_than_it_was_trained_for_and_no_less_than_it_has() {
        let most = |known| room(known).most();
        assert_eq!(most(Known { trained: Some(2048), by_default: Some(8192), ..Known::default() }), 2048);
        assert_eq!(most(Known { trained: Some(131_072), ..Known::default() }), 32_768);
        assert_eq!(most(Known { by_default: Some(65_536), ..Known::default() }), 65_536);
        assert_eq!(Room::new(Known::default(), 1).most(), OLLAMA_DEFAULT);
        let raised_before = Known { loaded: Some(65_536), asked: Some(65_536), ..Known::default() };
        assert_eq!(most(raised_before), 32_768, "a limit that was lowered holds");
    }

    #[test]
    fn what_can_only_go_plain_goes_there_by_the_likely_count() {
        let small = room(Known { by_default: Some(4096), ..Known::default() });
        assert!(may_be_plain(&small, &prompt(9000)) && !may_be_plain(&small, &prompt(12_000)));
    }

    prop_compose! {
        fn any_known()(
            trained in prop::option::of(1u64..300_000), by_default in prop::option::of(1u64..300_000),
            loaded in prop::option::of(1u64..300_000), asked in prop::option::of(1u64..300_000), same: bool,
        ) -> Known {
            let asked = if same { loaded } else { asked };
            Known { trained, by_default, loaded, asked }
        }
    }

    proptest! {
        #[test]
        fn no_plan_goes_beyond_what_is_allowed(
            known in any_known(), max in 1u64..300_000, bytes in 0u64..5_000_000, output in prop::option::of(0u64..100_000),
        ) {
            let room = Room::new(known, max);
            let prompt = Prompt::of_text(bytes, output);
            prop_assert!(known.trained.is_none_or(|trained| room.most() <= trained));
            match plan(&room, &prompt) {
                Plan::Plain => {
                    let gets = known.by_default.or(known.loaded).unwrap_or(OLLAMA_DEFAULT);
                    prop_assert!(bytes <= gets, "even if each byte were a token");
                }
                Plan::Native { num_ctx } => {
                    prop_assert!(num_ctx >= 1 && num_ctx <= room.most());
                    prop_assert!(num_ctx == room.most() || num_ctx >= bytes / 3);
                }
                Plan::TooLong => prop_assert!(bytes / 12 >= room.most()),
            }
        }

        #[test]
        fn what_is_small_unread_is_plain_when_it_is_read(
            known in any_known(), bytes in 0usize..10_000, output in prop::option::of(0u64..10_000),
        ) {
            let room = Room::new(known, 32_768);
            if is_small(&room, bytes, output, true) {
                prop_assert_eq!(plan(&room, &Prompt::of_text(bytes as u64, output)), Plan::Plain);
            }
        }
    }
}
