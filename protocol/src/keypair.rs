//! The Ed25519 key of a node: sign with it, never print it.

use crate::{NodeId, canonical::CanonicalBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fmt;

/// A node's secret key. Debug shows the public half only; memory is wiped on drop.
#[derive(Clone)]
pub struct Keypair(SigningKey);

impl Keypair {
    /// From an RFC 8032 seed. The caller provides the randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for writing `identity.json`.
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public name.
    pub fn node_id(&self) -> NodeId {
        NodeId::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs `domain` followed by the canonical bytes. The domain separates kinds of statements;
    /// version 1 statements have an empty one.
    pub(crate) fn sign(&self, domain: &str, body: &CanonicalBytes) -> [u8; 64] {
        if domain.is_empty() {
            return self.0.sign(body.as_bytes()).to_bytes();
        }
        self.0.sign(&[domain.as_bytes(), body.as_bytes()].concat()).to_bytes()
    }

    /// Signs a plain text, as the tracker's `unannounce:…` and `x-lobstah-auth` do.
    pub fn sign_text(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

/// Checks a signature over raw bytes. Strict: keys of small order, which accept signatures of
/// anyone, never verify.
pub fn verify_bytes(signer: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(signer.as_bytes())
        .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
        .is_ok()
}

pub(crate) fn verify(signer: &NodeId, domain: &str, body: &CanonicalBytes, signature: &[u8; 64]) -> bool {
    if domain.is_empty() {
        return verify_bytes(signer, body.as_bytes(), signature);
    }
    verify_bytes(signer, &[domain.as_bytes(), body.as_bytes()].concat(), signature)
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keypair").field(&self.node_id()).finish()
    }
}
