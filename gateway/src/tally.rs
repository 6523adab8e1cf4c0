//! What a body was, as both sides of an exchange can check it: how many bytes, and their SHA-256.

use sha2::{Digest, Sha256};

/// Bytes as they go by.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    hash: Sha256,
    bytes: u64,
}

impl Tally {
    /// Of a body that is here in full.
    pub fn of(body: &[u8]) -> Self {
        let mut tally = Self::default();
        tally.add(body);
        tally
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many there were.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Of all that there were so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}
