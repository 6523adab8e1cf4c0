//! A worker's word to a tracker that it leaves (SPEC section 5, compat).
//!
//! Not a statement in canonical JSON like the others: the first Lobstah signs a line of text.

use crate::{
    Keypair, NodeId, Rejected, Timestamp, keypair,
    limits::{CLOCK_SKEW_MS, STATEMENT_BYTES_MAX},
    receipt::Fields,
    strict_json,
};
use serde_json::json;

/// `{"pubkey","timestamp","signature"}` as received: its form is checked, its signature is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unannounce {
    node: NodeId,
    at: Timestamp,
    signature: [u8; 64],
}

/// Proof that `node` itself said, within five minutes of our clock, that it leaves.
///
/// **Invariant:** only [`Unannounce::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    node: NodeId,
    at: Timestamp,
}

/// Why a word to leave is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWithdrawn {
    /// More than five minutes old.
    #[error("made more than five minutes ago; sign it anew")]
    Stale,
    /// More than five minutes ahead.
    #[error("made more than five minutes ahead of this clock; set the clock")]
    Future,
    /// Not the node's signature over this text.
    #[error("bad signature")]
    BadSignature,
}

impl Unannounce {
    /// Signs that `key`'s node leaves at `at`.
    pub fn sign(key: &Keypair, at: Timestamp) -> Self {
        let node = key.node_id();
        Self { node, at, signature: key.sign_text(&text(&node, at)) }
    }

    /// Reads the JSON; further members are ignored.
    pub fn parse(json: &[u8]) -> Result<Self, Rejected> {
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(Rejected::malformed(format!("longer than {STATEMENT_BYTES_MAX} bytes")));
        }
        let value = strict_json::parse(json).map_err(|e| Rejected::malformed(e.to_string()))?;
        let fields = Fields(&value);
        let mut signature = [0; 64];
        hex::decode_to_slice(fields.text("signature")?, &mut signature)
            .map_err(|_| Rejected::malformed("`signature` is not 128 hex digits"))?;
        let at = Timestamp::from_millis(fields.integer("timestamp")?);
        Ok(Self { node: fields.parsed("pubkey")?, at, signature })
    }

    /// As it travels.
    pub fn to_json(&self) -> String {
        let signature = hex::encode(self.signature);
        json!({"pubkey": self.node, "timestamp": self.at, "signature": signature}).to_string()
    }

    /// Checks time and signature. Whether the node's announcement is older is the caller's to see.
    pub fn verify(self, now: Timestamp) -> Result<Withdrawal, NotWithdrawn> {
        if now.millis_since(self.at) > CLOCK_SKEW_MS {
            return Err(NotWithdrawn::Stale);
        }
        if self.at.millis_since(now) > CLOCK_SKEW_MS {
            return Err(NotWithdrawn::Future);
        }
        if !keypair::verify_bytes(&self.node, text(&self.node, self.at).as_bytes(), &self.signature) {
            return Err(NotWithdrawn::BadSignature);
        }
        Ok(Withdrawal { node: self.node, at: self.at })
    }
}

impl Withdrawal {
    /// Who leaves.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// When it said so: what it announced later still counts.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

fn text(node: &NodeId, at: Timestamp) -> String {
    format!("unannounce:{node}:{}", at.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn later(ms: u64) -> Timestamp {
        Timestamp::from_millis(AT.as_millis() + ms)
    }

    #[test]
    fn a_word_to_leave_counts_for_five_minutes_either_way() {
        let key = Keypair::from_seed(&[1; 32]);
        let word = Unannounce::parse(Unannounce::sign(&key, AT).to_json().as_bytes()).unwrap();
        let withdrawal = word.clone().verify(later(CLOCK_SKEW_MS)).unwrap();
        assert_eq!((withdrawal.node(), withdrawal.at()), (key.node_id(), AT));
        assert_eq!(word.verify(later(CLOCK_SKEW_MS + 1)), Err(NotWithdrawn::Stale));
        let ahead = Unannounce::sign(&key, later(CLOCK_SKEW_MS));
        assert!(ahead.clone().verify(AT).is_ok());
        assert_eq!(ahead.verify(Timestamp::from_millis(AT.as_millis() - 1)), Err(NotWithdrawn::Future));
    }

    #[test]
    fn nobody_leaves_for_another_or_at_another_time() {
        let word = Unannounce::sign(&Keypair::from_seed(&[1; 32]), AT);
        let of_another = Unannounce { node: Keypair::from_seed(&[2; 32]).node_id(), ..word };
        assert_eq!(of_another.verify(AT), Err(NotWithdrawn::BadSignature));
        let moved = Unannounce { at: later(1), ..word };
        assert_eq!(moved.verify(AT), Err(NotWithdrawn::BadSignature));
    }

    #[test]
    fn rubbish_is_malformed() {
        for json in ["", "[]", "{}", r#"{"pubkey":"lob1","timestamp":1,"signature":""}"#] {
            assert!(matches!(Unannounce::parse(json.as_bytes()), Err(Rejected::Malformed(_))), "{json}");
        }
    }
}
