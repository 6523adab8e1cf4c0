//! Signed statements: as received (anyone can build one) and verified (proof in the type).

use crate::{
    Keypair, NodeId,
    canonical::{CanonicalBytes, sha256},
    keypair,
    limits::STATEMENT_BYTES_MAX,
    strict_json,
};
use serde_json::Value;
use std::ops::Deref;

/// What can be signed: one object, named by its kind beside the signature.
pub trait Body: Sized {
    /// The member that holds the object: `{"<NAME>":{…},"signature":"…"}`. Sorts before `signature`.
    const NAME: &'static str;
    /// Put before the canonical bytes when signing; ends in a newline, or empty for version 1 kinds.
    const DOMAIN: &'static str;

    /// Whose signature makes it true.
    fn signer(&self) -> NodeId;
    /// Reads the fields that this version knows and checks their form; unknown ones are fine.
    fn from_value(value: &Value) -> Result<Self, Rejected>;
    /// The object to be signed, when it is ours.
    fn to_value(&self) -> Value;
}

/// Why a statement is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Too long, not JSON, a key twice, a field missing or of the wrong form.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A `version` that this program does not know.
    #[error("unsupported version")]
    UnsupportedVersion,
    /// The signature is not the signer's over this body.
    #[error("bad signature")]
    BadSignature,
}

impl Rejected {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

/// A statement as received: its form is checked, its signature is not. Nobody may act on it.
///
/// Keeps the canonical form of the object **as it came**, unknown fields included, since that is
/// what the signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    body: T,
    canonical: CanonicalBytes,
    signature: [u8; 64],
}

/// Proof that the signer's key signed exactly this body.
///
/// **Invariant:** only [`Signed::verify`] and [`Verified::sign`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(Signed<T>);

impl<T: Body> Signed<T> {
    /// Reads `{"<NAME>":{…},"signature":"<128 hex>"}`. Further members beside the two are ignored.
    pub fn parse(json: &[u8]) -> Result<Self, Rejected> {
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(Rejected::malformed(format!("longer than {STATEMENT_BYTES_MAX} bytes")));
        }
        let value = strict_json::parse(json).map_err(|e| Rejected::malformed(e.to_string()))?;
        Self::from_value(&value)
    }

    /// The same from a value that was parsed before. Its caller has seen to keys that stand twice.
    pub fn from_value(value: &Value) -> Result<Self, Rejected> {
        let object = value.get(T::NAME).filter(|v| v.is_object());
        let object = object.ok_or_else(|| Rejected::malformed(format!("no object `{}`", T::NAME)))?;
        let digits = value.get("signature").and_then(Value::as_str);
        let digits = digits.ok_or_else(|| Rejected::malformed("no `signature`"))?;
        let mut signature = [0; 64];
        hex::decode_to_slice(digits, &mut signature)
            .map_err(|_| Rejected::malformed("`signature` is not 128 hex digits"))?;
        let body = T::from_value(object)?;
        let canonical = CanonicalBytes::of(object).map_err(|e| Rejected::malformed(e.to_string()))?;
        Ok(Self { body, canonical, signature })
    }

    /// Checks the signature; the only way from what was received to what may be acted on.
    pub fn verify(self) -> Result<Verified<T>, Rejected> {
        if keypair::verify(&self.body.signer(), T::DOMAIN, &self.canonical, &self.signature) {
            Ok(Verified(self))
        } else {
            Err(Rejected::BadSignature)
        }
    }

    /// The claimed body, for messages about a statement that failed.
    pub fn unverified(&self) -> &T {
        &self.body
    }

    /// The statement as JSON, in canonical form: `{"<NAME>":…,"signature":"…"}`.
    pub fn to_json(&self) -> String {
        format!(
            r#"{{"{}":{},"signature":"{}"}}"#,
            T::NAME,
            self.canonical.as_str(),
            hex::encode(self.signature)
        )
    }

    /// SHA-256 of the canonical statement: how later statements refer to it.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.to_json().as_bytes())
    }

    /// The canonical form of the body: the bytes that are signed, less the domain.
    pub fn canonical(&self) -> &CanonicalBytes {
        &self.canonical
    }

    /// The signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

impl<T: Body> Verified<T> {
    /// Signs `body`. The key must be the one that the body names as its signer.
    pub fn sign(body: T, key: &Keypair) -> Result<Self, Rejected> {
        if body.signer() != key.node_id() {
            return Err(Rejected::BadSignature);
        }
        let canonical =
            CanonicalBytes::of(&body.to_value()).map_err(|e| Rejected::malformed(e.to_string()))?;
        let signature = key.sign(T::DOMAIN, &canonical);
        Ok(Self(Signed { body, canonical, signature }))
    }

    /// The statement with its signature.
    pub fn signed(&self) -> &Signed<T> {
        &self.0
    }

    /// See [`Signed::to_json`].
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.body
    }
}
