//! The two key pairs of a node and the text of `identity.json` (SPEC section 1).
//!
//! Reading and writing the file is the caller's.

use crate::{Keypair, NodeId, NostrKeypair, node_id::NotANodeId};
use serde::{Deserialize, Serialize};

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Signs receipts, announcements and orders: it *is* the node.
    pub node: Keypair,
    /// Signs Nostr envelopes.
    pub nostr: NostrKeypair,
}

/// What a text of `identity.json` held.
#[derive(Debug)]
pub enum Parsed {
    /// A version 2 file.
    Complete(Identity),
    /// A version 1 file: give it a Nostr key and write it back.
    WithoutNostr(Keypair),
}

/// Why a text is no identity.
#[derive(Debug, thiserror::Error)]
pub enum BadIdentity {
    /// Not JSON of the right shape.
    #[error("not an identity file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A version that this program does not know.
    #[error("identity version {0} is not known to this program")]
    Version(u64),
    /// A key is not 64 hex digits, or no key of its curve.
    #[error("`{0}` is not a key of 64 hex digits")]
    Key(&'static str),
    /// The file contradicts itself.
    #[error("`{0}` does not belong to the secret key beside it")]
    Mismatch(&'static str),
    /// `publicKey` is not a node's key.
    #[error("`publicKey`: {0}")]
    PublicKey(#[from] NotANodeId),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    version: u64,
    public_key: String,
    secret_key: zeroize::Zeroizing<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nostr_public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nostr_secret_key: Option<zeroize::Zeroizing<String>>,
}

impl Identity {
    /// Reads the text of an `identity.json`, version 1 or 2, and checks that its halves agree.
    pub fn parse(text: &str) -> Result<Parsed, BadIdentity> {
        let file: File = serde_json::from_str(text)?;
        if file.version != 1 && file.version != 2 {
            return Err(BadIdentity::Version(file.version));
        }
        let node = Keypair::from_seed(&*key_bytes("secretKey", &file.secret_key)?);
        if file.public_key.parse::<NodeId>()? != node.node_id() {
            return Err(BadIdentity::Mismatch("publicKey"));
        }
        let Some(secret) = file.nostr_secret_key else { return Ok(Parsed::WithoutNostr(node)) };
        let nostr = NostrKeypair::from_secret(&*key_bytes("nostrSecretKey", &secret)?)
            .map_err(|_| BadIdentity::Key("nostrSecretKey"))?;
        if file.nostr_public_key.is_some_and(|public| public != nostr.public_hex()) {
            return Err(BadIdentity::Mismatch("nostrPublicKey"));
        }
        Ok(Parsed::Complete(Identity { node, nostr }))
    }

    /// The text of a version 2 file. Holds the secrets: write it with mode 0600.
    pub fn to_json(&self) -> zeroize::Zeroizing<String> {
        let file = File {
            version: 2,
            public_key: self.node.node_id().to_string(),
            secret_key: zeroize::Zeroizing::new(hex::encode(*self.node.seed())),
            nostr_public_key: Some(self.nostr.public_hex()),
            nostr_secret_key: Some(self.nostr.secret_hex()),
        };
        zeroize::Zeroizing::new(serde_json::to_string_pretty(&file).unwrap_or_default() + "\n")
    }
}

fn key_bytes(name: &'static str, digits: &str) -> Result<zeroize::Zeroizing<[u8; 32]>, BadIdentity> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *bytes).map_err(|_| BadIdentity::Key(name))?;
    Ok(bytes)
}
