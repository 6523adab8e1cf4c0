//! What trackers answer, as both sides write and read it (SPEC section 5, compat).

use protocol::NodeId;
use serde::{Deserialize, Serialize};

/// The `version` of `GET /peers`.
pub const PEERS_VERSION: u32 = 1;

/// The answer to a good `POST /announce`:
/// `{"ok":true,"pubkey":"lob1…","ttlSeconds":n,"registeredCount":n}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// True.
    pub ok: bool,
    /// Who announced itself.
    pub pubkey: NodeId,
    /// For how long the tracker lists it, in seconds.
    pub ttl_seconds: u64,
    /// How many it lists now.
    pub registered_count: u64,
}

/// The answer to a good `POST /unannounce`: `{"ok":true,"removed":bool}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// True.
    pub ok: bool,
    /// Whether it was listed.
    pub removed: bool,
}

/// The answer with status 400: `{"error":{"type":"rejected","reason":"stale"}}`, or
/// `{"error":{"type":"bad_json"}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which of the two.
    pub error: Rejected,
}

/// What was wrong with what a tracker was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Rejected {
    /// It is a signed statement, and not believed.
    Rejected {
        /// Why.
        reason: Reason,
    },
    /// It is none.
    BadJson,
}

/// Why a tracker does not believe a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not the node's signature.
    #[error("bad signature")]
    BadSignature,
    /// Too old, or older than one that it has.
    #[error("stale; set this machine's clock")]
    Stale,
    /// From more than five minutes ahead.
    #[error("from the future; set this machine's clock")]
    Future,
    /// Another tracker's own reason.
    #[error("for a reason that this version does not know")]
    #[serde(other)]
    Other,
}

impl Rejection {
    /// The answer to a statement that is not believed.
    pub const fn of(reason: Reason) -> Self {
        Self { error: Rejected::Rejected { reason } }
    }

    /// The answer to what is no statement.
    pub const fn bad_json() -> Self {
        Self { error: Rejected::BadJson }
    }
}

/// The answer to `GET /peers`: `{"version":1,"count":n,"peers":[…]}`, of signed announcements that
/// are JSON already.
pub fn peers_json<S: AsRef<str>>(signed: &[S]) -> String {
    let texts: Vec<&str> = signed.iter().map(AsRef::as_ref).collect();
    format!(r#"{{"version":{PEERS_VERSION},"count":{},"peers":[{}]}}"#, texts.len(), texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, to_value};

    #[test]
    fn answers_are_written_as_the_first_lobstahs() {
        let registered = Registered {
            ok: true,
            pubkey: NodeId::from_bytes([7; 32]),
            ttl_seconds: 300,
            registered_count: 2,
        };
        assert_eq!(
            to_value(&registered).unwrap(),
            json!({"ok": true, "pubkey": registered.pubkey, "ttlSeconds": 300, "registeredCount": 2})
        );
        assert_eq!(
            to_value(Rejection::of(Reason::BadSignature)).unwrap(),
            json!({"error": {"type": "rejected", "reason": "bad-signature"}})
        );
        assert_eq!(to_value(Rejection::bad_json()).unwrap(), json!({"error": {"type": "bad_json"}}));
        assert_eq!(peers_json(&["{}", "{}"]), r#"{"version":1,"count":2,"peers":[{},{}]}"#);
        assert_eq!(peers_json::<String>(&[]), r#"{"version":1,"count":0,"peers":[]}"#);
    }

    #[test]
    fn a_reason_that_is_new_to_us_is_still_a_rejection() {
        let answer = json!({"error": {"type": "rejected", "reason": "full-moon", "more": 1}});
        assert_eq!(serde_json::from_value::<Rejection>(answer).unwrap(), Rejection::of(Reason::Other));
    }
}
