//! The public name of a node.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// An Ed25519 public key: it *is* the node (SPEC section 1).
///
/// Its text is `lob1` and 64 lower-case hex digits, and nothing else parses. Whether the 32 bytes
/// are a point of the curve is found out when a signature is checked against them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

/// The text is not `lob1` followed by 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node's key is `lob1` and 64 lower-case hex digits")]
pub struct NotANodeId;

const PREFIX: &str = "lob1";

impl NodeId {
    /// From the raw public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `lob1` and the first eight digits: for logs and tables, never for decisions.
    pub fn short(&self) -> String {
        format!("{PREFIX}{}", hex::encode(&self.0[..4]))
    }
}

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        let digits = text.strip_prefix(PREFIX).ok_or(NotANodeId)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(NotANodeId);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotANodeId)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_parses() {
        let text = format!("lob1{}", "ab".repeat(32));
        assert_eq!(text.parse::<NodeId>().unwrap().to_string(), text);
        for wrong in
            ["", "lob1", "ab", &text[4..], &text.to_uppercase(), &format!("{text}00"), &format!(" {text}")]
        {
            assert_eq!(wrong.parse::<NodeId>(), Err(NotANodeId), "{wrong:?}");
        }
    }
}
