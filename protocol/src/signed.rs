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
///
/// For kinds that name their signer. An [`Ack`](crate::Ack) does not: reading, checking and signing
/// one are its own, since they need to be told whose it is.
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
    /// The kind: [`Body::NAME`].
    name: &'static str,
    body: T,
    canonical: CanonicalBytes,
    signature: [u8; 64],
}

/// What [`Signed::to_json`] puts around the body, but for its name.
const ENVELOPE_BYTES: usize = r#"{"":,"signature":""}"#.len() + 2 * 64;

/// Proof that the signer's key signed exactly this body.
///
/// **Invariant:** only [`Signed::verify`] and [`Verified::sign`] make one, and for an
/// [`Ack`](crate::Ack) `Signed::verify_for` and `Ack::sign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(Signed<T>);

impl<T: Body> Signed<T> {
    /// Reads `{"<NAME>":{…},"signature":"<128 hex>"}`. Further members beside the two are ignored.
    pub fn parse(json: &[u8]) -> Result<Self, Rejected> {
        Self::from_value(&parse(json, STATEMENT_BYTES_MAX)?)
    }

    /// The same from a value that was parsed before. Its caller has seen to keys that stand twice.
    pub fn from_value(value: &Value) -> Result<Self, Rejected> {
        Self::read(T::NAME, value, T::from_value)
    }

    /// Checks the signature; the only way from what was received to what may be acted on.
    pub fn verify(self) -> Result<Verified<T>, Rejected> {
        let signer = self.body.signer();
        self.verify_as(T::DOMAIN, &signer)
    }
}

impl<T> Signed<T> {
    /// Takes a statement of the kind `name` apart.
    pub(crate) fn read(
        name: &'static str,
        value: &Value,
        body: impl FnOnce(&Value) -> Result<T, Rejected>,
    ) -> Result<Self, Rejected> {
        let object = value.get(name).filter(|v| v.is_object());
        let object = object.ok_or_else(|| Rejected::malformed(format!("no object `{name}`")))?;
        let digits = value.get("signature").and_then(Value::as_str);
        let digits = digits.ok_or_else(|| Rejected::malformed("no `signature`"))?;
        let mut signature = [0; 64];
        hex::decode_to_slice(digits, &mut signature)
            .map_err(|_| Rejected::malformed("`signature` is not 128 hex digits"))?;
        let body = body(object)?;
        let canonical = canonical(object)?;
        // Numbers can grow: what is kept has to be readable again.
        if canonical.as_str().len() + name.len() + ENVELOPE_BYTES > STATEMENT_BYTES_MAX {
            return Err(Rejected::malformed(format!(
                "longer than {STATEMENT_BYTES_MAX} bytes in canonical form"
            )));
        }
        Ok(Self { name, body, canonical, signature })
    }

    /// Whose key is the right one, the caller answers for: the body's own word, or the order's.
    pub(crate) fn verify_as(self, domain: &str, signer: &NodeId) -> Result<Verified<T>, Rejected> {
        if keypair::verify(signer, domain, &self.canonical, &self.signature) {
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
        // Into a buffer: `hex::encode` builds its text a character at a time.
        let mut digits = [0; 128];
        let signature = hex::encode_to_slice(self.signature, &mut digits)
            .ok()
            .and_then(|()| std::str::from_utf8(&digits).ok())
            .unwrap_or_default();
        format!(r#"{{"{}":{},"signature":"{signature}"}}"#, self.name, self.canonical.as_str())
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
        let object = body.to_value();
        Self::sign_as(T::NAME, T::DOMAIN, body, &object, key)
    }
}

impl<T> Verified<T> {
    /// Signs `object`, which is `body` as it travels.
    pub(crate) fn sign_as(
        name: &'static str,
        domain: &str,
        body: T,
        object: &Value,
        key: &Keypair,
    ) -> Result<Self, Rejected> {
        let canonical = canonical(object)?;
        let signature = key.sign(domain, &canonical);
        Ok(Self(Signed { name, body, canonical, signature }))
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

/// JSON of at most `bytes_max` bytes in which no key stands twice.
pub(crate) fn parse(json: &[u8], bytes_max: usize) -> Result<Value, Rejected> {
    if json.len() > bytes_max {
        return Err(Rejected::malformed(format!("longer than {bytes_max} bytes")));
    }
    strict_json::parse(json).map_err(|e| Rejected::malformed(e.to_string()))
}

fn canonical(object: &Value) -> Result<CanonicalBytes, Rejected> {
    CanonicalBytes::of(object).map_err(|e| Rejected::malformed(e.to_string()))
}
