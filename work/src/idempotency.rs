//! A key with which a tool may send the same request twice, to be done once.

use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use sha2::{Digest, Sha256};

/// An `Idempotency-Key`, and which request came with it.
///
/// It holds as long as what it made is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    key: String,
    request_sha256: [u8; 32],
}

/// The key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an `Idempotency-Key` has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters")]
pub struct BadIdempotencyKey;

impl Idempotency {
    /// The key of the request whose body this is.
    pub fn new(key: &str, body: &[u8]) -> Result<Self, BadIdempotencyKey> {
        let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len());
        if !fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadIdempotencyKey);
        }
        Ok(Self { key: key.to_owned(), request_sha256: Sha256::digest(body).into() })
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn request_sha256(&self) -> &[u8] {
        &self.request_sha256
    }
}

/// Whether what was created is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created<T> {
    /// It is.
    New(T),
    /// The same request came before, with the same key: this is what it made.
    Before(T),
}

impl<T> Created<T> {
    /// What was created, now or before.
    pub fn into_inner(self) -> T {
        match self {
            Created::New(it) | Created::Before(it) => it,
        }
    }
}
