//! What a tool attaches to a job or a batch, and gets back with it.

use crate::limits::{METADATA_KEY_CHARS_MAX, METADATA_PAIRS_MAX, METADATA_VALUE_CHARS_MAX};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Pairs of texts, as OpenAI bounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

/// The pairs are too many or too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`metadata` takes at most {METADATA_PAIRS_MAX} pairs of texts, keys of up to {METADATA_KEY_CHARS_MAX} and \
     values of up to {METADATA_VALUE_CHARS_MAX} characters"
)]
pub struct MetadataTooLarge;

impl Metadata {
    /// Checks the bounds.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, MetadataTooLarge> {
        let fits = |(key, value): (&String, &String)| {
            key.chars().count() <= METADATA_KEY_CHARS_MAX && value.chars().count() <= METADATA_VALUE_CHARS_MAX
        };
        let small = pairs.len() <= METADATA_PAIRS_MAX && pairs.iter().all(fits);
        small.then_some(Self(pairs)).ok_or(MetadataTooLarge)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is kept; nothing where there are no pairs.
    pub(crate) fn to_column(&self) -> Option<String> {
        let some = !self.is_empty();
        some.then(|| serde_json::to_string(&self.0).unwrap_or_default())
    }

    /// The reverse of [`Metadata::to_column`]. What is damaged is left out.
    pub(crate) fn from_column(text: Option<String>) -> Option<Self> {
        serde_json::from_str(&text?).ok()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Metadata::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
