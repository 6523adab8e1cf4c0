//! The models that the engine claims to have, and the knobs that their names can carry.
//!
//! Behind a gateway no header of ours arrives, so a request asks for delays by the model's name:
//! `practice:8b-d20-s200` is `practice:8b` with 20 ms a token and 200 tokens. Such names are answered
//! but not listed.

use super::behaviour::{Pace, Trouble};
use protocol::ModelName;
use std::time::Duration;

/// More makes the name unknown, so that no stranger's request holds the engine for hours.
const MILLISECONDS_MAX: u64 = 60_000;
const TOKENS_MAX: u64 = 1_000_000;

/// What a name's suffixes ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Knobs {
    /// `-d20`: milliseconds before each token but the first.
    token_ms: Option<u64>,
    /// `-l500`: milliseconds before the first.
    first_token_ms: Option<u64>,
    /// `-s200`: tokens in the text.
    pub(super) tokens: Option<u64>,
    /// `-e503` fails with a status, `-h5` hangs and `-c5` cuts the connection after so many tokens.
    pub(super) trouble: Trouble,
}

impl Knobs {
    pub(super) fn pace(&self, otherwise: Pace) -> Pace {
        Pace {
            first_token: self.first_token_ms.map_or(otherwise.first_token, Duration::from_millis),
            per_token: self.token_ms.map_or(otherwise.per_token, Duration::from_millis),
        }
    }

    fn turn(&mut self, knob: &str) -> Option<()> {
        let (letter, number) = knob.split_at_checked(1)?;
        let number: u64 = number.parse().ok()?;
        let at_most = |max| (number <= max).then_some(number);
        match letter {
            "d" => self.token_ms = Some(at_most(MILLISECONDS_MAX)?),
            "l" => self.first_token_ms = Some(at_most(MILLISECONDS_MAX)?),
            "s" => self.tokens = Some(at_most(TOKENS_MAX)?),
            "e" => self.trouble = Trouble::Fail { status: error_status(number)?, body: None },
            "h" => self.trouble = Trouble::HangAfter(number),
            "c" => self.trouble = Trouble::CutAfter(number),
            _ => return None,
        }
        Some(())
    }
}

fn error_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// Which of the models a name means, and what it asks for. None if it is unknown.
pub(super) fn find<'m>(models: &'m [ModelName], asked: &str) -> Option<(&'m ModelName, Knobs)> {
    let asked_name: ModelName = asked.parse().ok()?;
    if let Some(model) = models.iter().find(|model| model.same_model(&asked_name)) {
        return Some((model, Knobs::default()));
    }
    models.iter().find_map(|model| {
        let base = model.as_str().strip_suffix(":latest").unwrap_or(model.as_str());
        Some((model, knobs(asked.strip_prefix(base)?)?))
    })
}

fn knobs(suffixes: &str) -> Option<Knobs> {
    let mut knobs = Knobs::default();
    for knob in suffixes.strip_prefix('-')?.split('-') {
        knobs.turn(knob)?;
    }
    Some(knobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<ModelName> {
        ["practice:8b", "practice-embed:latest"].map(|name| name.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_name_carries_its_knobs() {
        let models = models();
        let (model, knobs) = find(&models, "practice:8b-d20-s200-l500").unwrap();
        assert_eq!(model.as_str(), "practice:8b");
        let pace = knobs.pace(Pace::default());
        assert_eq!(
            (pace.per_token.as_millis(), pace.first_token.as_millis(), knobs.tokens),
            (20, 500, Some(200))
        );
        let (_, knobs) = find(&models, "practice:8b-e503").unwrap();
        assert_eq!(knobs.trouble, Trouble::Fail { status: 503, body: None });
    }

    #[test]
    fn the_default_tag_is_implied() {
        let models = models();
        for name in ["practice-embed", "practice-embed:latest", "practice-embed-d1"] {
            assert_eq!(find(&models, name).unwrap().0.as_str(), "practice-embed:latest", "{name}");
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in [
            "practice",
            "practice:8",
            "practice:8b-",
            "practice:8b-d",
            "practice:8b-z1",
            "practice:8b-d60001",
            "practice:8bd1",
            "practice:8b-e200",
            "",
        ] {
            assert_eq!(find(&models(), name), None, "{name}");
        }
    }
}
