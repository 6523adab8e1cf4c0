//! Values that are compared and sent, and never shown.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// An API key. Debug shows nothing of it; its memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether `candidate` is the secret. Hashes are compared, so the time taken tells neither how
    /// much of it is right nor how long the secret is.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let (ours, theirs) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(candidate));
        ours.as_slice().ct_eq(theirs.as_slice()).into()
    }

    /// The text itself, for the header that it is sent in.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// In the same constant time as [`Secret::matches`].
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    /// `writeOnly` is JSON Schema's word for a value that is never given back; `config show` obeys it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_match_and_nothing_is_printed() {
        let secret = Secret::new("sk-1234".into());
        assert!(secret.matches(b"sk-1234"));
        assert!(!secret.matches(b"sk-1235") && !secret.matches(b"sk-12345") && !secret.matches(b""));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
