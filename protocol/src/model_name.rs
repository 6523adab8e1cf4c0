//! The name of a model, as asked for and as announced.

use crate::limits::MODEL_NAME_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// A model's name: not empty, no control characters, at most
/// [`MODEL_NAME_BYTES_MAX`] bytes. May hold `/` and `:`.
///
/// Kept as it was written. `llama3.1` and `llama3.1:latest` are different names for the same
/// model: compare with [`ModelName::same_model`] where that matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ModelName(String);

/// Why a text is no model name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model name has 1 to {MODEL_NAME_BYTES_MAX} bytes and no control characters")]
pub struct NotAModelName;

impl ModelName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with Ollama's default tag made explicit: `llama3.1` gives `llama3.1:latest`.
    pub fn with_tag(&self) -> std::borrow::Cow<'_, str> {
        let last_part = self.0.rsplit('/').next().unwrap_or_default();
        if last_part.contains(':') { self.0.as_str().into() } else { format!("{}:latest", self.0).into() }
    }

    /// Whether both names mean the same model, the default tag being implied.
    pub fn same_model(&self, other: &ModelName) -> bool {
        self == other || self.with_tag() == other.with_tag()
    }
}

impl FromStr for ModelName {
    type Err = NotAModelName;

    fn from_str(text: &str) -> Result<Self, NotAModelName> {
        if text.is_empty() || text.len() > MODEL_NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(NotAModelName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ModelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_tag_is_implied() {
        assert!(name("llama3.1").same_model(&name("llama3.1:latest")));
        assert!(!name("llama3.1").same_model(&name("llama3.1:8b")));
        assert!(name("host:5000/team/m").same_model(&name("host:5000/team/m:latest")));
    }

    #[test]
    fn a_name_is_bounded_and_printable() {
        assert!("".parse::<ModelName>().is_err());
        assert!("a\nb".parse::<ModelName>().is_err());
        assert!("m".repeat(MODEL_NAME_BYTES_MAX + 1).parse::<ModelName>().is_err());
        assert!("m".repeat(MODEL_NAME_BYTES_MAX).parse::<ModelName>().is_ok());
    }
}
