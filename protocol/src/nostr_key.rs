//! The secp256k1 key that signs Nostr envelopes, and nothing else.

use secp256k1::{Secp256k1, SecretKey};
use std::fmt;

/// A Nostr key pair (BIP 340). Debug shows the public half only.
#[derive(Clone)]
pub struct NostrKeypair {
    secret: SecretKey,
    public: [u8; 32],
}

/// The 32 bytes are zero or not below the order of the curve.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secp256k1 secret key")]
pub struct NotANostrKey;

impl NostrKeypair {
    /// From secret bytes. All but a vanishing share of 32 random bytes are a key; draw again on error.
    pub fn from_secret(bytes: &[u8; 32]) -> Result<Self, NotANostrKey> {
        let secret = SecretKey::from_slice(bytes).map_err(|_| NotANostrKey)?;
        let (public, _parity) = secret.x_only_public_key(&Secp256k1::signing_only());
        Ok(Self { secret, public: public.serialize() })
    }

    /// The secret, as lower-case hex, for `identity.json` and for the Nostr client.
    pub fn secret_hex(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(hex::encode(self.secret.secret_bytes()))
    }

    /// The x-only public key as lower-case hex.
    pub fn public_hex(&self) -> String {
        hex::encode(self.public)
    }

    /// The public key as people write it: `npub1…` (NIP-19).
    pub fn npub(&self) -> String {
        let prefix = bech32::Hrp::parse_unchecked("npub");
        bech32::encode::<bech32::Bech32>(prefix, &self.public).unwrap_or_default()
    }
}

impl fmt::Debug for NostrKeypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NostrKeypair").field(&self.public_hex()).finish()
    }
}
