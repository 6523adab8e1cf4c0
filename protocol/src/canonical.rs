//! JSON to the one byte string that is signed: RFC 8785 (JCS).

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The canonical form of a JSON value. Signatures are made and checked over these bytes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalBytes(Vec<u8>);

/// It has no canonical form: a number in it is not a finite double, or as text it is no JSON, or a key
/// stands in it twice.
#[derive(Debug, thiserror::Error)]
#[error("this JSON has no canonical form")]
pub struct NotCanonical(#[source] serde_json::Error);

impl CanonicalBytes {
    /// Canonicalises `value`: keys sorted by UTF-16 code units, ECMAScript numbers, no white space.
    pub fn of(value: &Value) -> Result<Self, NotCanonical> {
        serde_json_canonicalizer::to_vec(value).map(Self).map_err(NotCanonical)
    }

    /// The same of JSON text. One in which a key stands twice has none: it would say two things.
    pub fn of_text(json: &[u8]) -> Result<Self, NotCanonical> {
        Self::of(&crate::strict_json::parse(json).map_err(NotCanonical)?)
    }

    /// The bytes; they are UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// SHA-256 of the bytes.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

/// SHA-256 of any bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
