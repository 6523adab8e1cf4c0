//! Names that nobody can guess, for what others will ask for by name.

use crate::store::error::StoreError;
use std::io;

const RANDOM_BYTES: usize = 16;

/// `prefix` and 32 random hex digits.
pub(crate) fn random(prefix: &str) -> Result<String, StoreError> {
    Ok(format!("{prefix}{}", hex::encode(bytes()?)))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<String, StoreError> {
    let mut bytes = bytes()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    Ok([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

fn bytes() -> Result<[u8; RANDOM_BYTES], StoreError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(bytes)
}
