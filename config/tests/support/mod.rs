//! What the tests of loading share.
#![allow(dead_code, reason = "each test file uses a part")]

use config::{Environment, Flag, Loaded, Problem, load_text};
use std::path::Path;

pub(crate) fn env<const N: usize>(pairs: [(&str, &str); N]) -> Environment {
    pairs.into_iter().collect()
}

pub(crate) fn flag(flag: &str, key: &str, value: impl Into<toml::Value>) -> Flag {
    Flag { flag: flag.into(), key: key.into(), value: value.into() }
}

pub(crate) fn load_all(text: &str, env: &Environment, flags: &[Flag]) -> Result<Loaded, Vec<Problem>> {
    load_text(Path::new("lobstah.toml"), text, env, flags)
}

pub(crate) fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    load_all(text, &Environment::default(), &[])
}

/// The problems as they are printed.
pub(crate) fn complaints(text: &str) -> Vec<String> {
    printed(load(text))
}

pub(crate) fn printed(loaded: Result<Loaded, Vec<Problem>>) -> Vec<String> {
    loaded.map_or_else(|problems| problems.iter().map(Problem::to_string).collect(), |_| Vec::new())
}

#[track_caller]
pub(crate) fn assert_complaint(text: &str, part: &str) {
    let complaints = complaints(text);
    assert!(
        complaints.len() == 1 && complaints[0].contains(part),
        "{part:?} expected of {text:?}: {complaints:#?}"
    );
}
