//! How single values are read, where the type alone does not say it.

use super::Refusal;
use crate::{Glob, RawSize, Secret, Share, parse_size, parse_span, suggest};
use protocol::{
    ModelName, NodeId, Tier,
    limits::{INTEGER_MAX, LABEL_BYTES_MAX},
};
use std::time::Duration;

/// A size in bytes.
pub(super) fn size(raw: RawSize) -> Result<u64, Refusal> {
    match raw {
        RawSize::Bytes(bytes) => Ok(bytes),
        RawSize::Text(text) => {
            parse_size(&text).map_err(|error| Refusal::new(error.to_string()).hint("write it as 32MiB"))
        }
    }
}

/// A size that something fits in.
pub(super) fn size_above_zero(raw: RawSize) -> Result<u64, Refusal> {
    size(raw).and_then(
        |bytes| if bytes == 0 { Err(Refusal::new("nothing fits in zero bytes")) } else { Ok(bytes) },
    )
}

/// A span of time, which may be none.
pub(super) fn span(text: String) -> Result<Duration, Refusal> {
    parse_span(&text)
        .map_err(|error| Refusal::new(error.to_string()).hint("write it as 500ms, 30s, 2m, 24h or 7d"))
}

/// A span in which something can happen.
pub(super) fn timeout(text: String) -> Result<Duration, Refusal> {
    span(text).and_then(|span| {
        if span.is_zero() { Err(Refusal::new("nothing is done in no time")) } else { Ok(span) }
    })
}

/// A number of tokens or credits, which other nodes must be able to read.
pub(super) fn count(number: u64) -> Result<u64, Refusal> {
    if number > INTEGER_MAX { Err(Refusal::new(format!("at most {INTEGER_MAX}"))) } else { Ok(number) }
}

/// The same, for what cannot be none.
pub(super) fn count_above_zero(number: u64) -> Result<u64, Refusal> {
    if number == 0 { Err(Refusal::new("at least 1")) } else { count(number) }
}

/// How many things may happen at once.
pub(super) fn concurrency(number: usize) -> Result<usize, Refusal> {
    if number == 0 { Err(Refusal::new("at least 1: with zero nothing would ever run")) } else { Ok(number) }
}

/// A pattern over model names.
pub(super) fn glob(text: String) -> Result<Glob, Refusal> {
    text.parse().map_err(|error: crate::NotAGlob| Refusal::new(error.to_string()))
}

/// A model's name, without wildcards.
pub(super) fn model(text: String) -> Result<ModelName, Refusal> {
    let name: Result<ModelName, _> = text.parse();
    name.map_err(|error| Refusal::new(error.to_string()))
}

/// A node's key.
pub(super) fn node_id(text: String) -> Result<NodeId, Refusal> {
    let id: Result<NodeId, _> = text.parse();
    id.map_err(|error| Refusal::new(error.to_string()).hint("`lobstah keygen` shows a node's own"))
}

/// A name for people to read.
pub(super) fn label(text: String) -> Result<String, Refusal> {
    if text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Refusal::new(format!(
            "a label has at most {LABEL_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(text)
}

/// An API key as it can stand in a header.
pub(super) fn api_key(secret: Secret) -> Result<Secret, Refusal> {
    let text = secret.expose();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::new("an API key has at least one character, and only visible ones of ASCII"));
    }
    Ok(secret)
}

/// A tier; unlike on the wire, an unknown one is a mistake.
pub(super) fn tier(text: String) -> Result<Tier, Refusal> {
    let tiers = [Tier::Interactive, Tier::Batch, Tier::BestEffort];
    one_of(&text, tiers.map(|tier| (tier.as_str(), tier)))
}

/// When the machine works for others.
pub(super) fn share(text: String) -> Result<Share, Refusal> {
    one_of(&text, [("always", Share::Always)])
}

fn one_of<T, const N: usize>(text: &str, choices: [(&'static str, T); N]) -> Result<T, Refusal> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let chosen = choices.into_iter().find(|(name, _)| *name == text);
    chosen.map(|(_, value)| value).ok_or_else(|| {
        let refusal = Refusal::new(format!("`{text}` is none of {}", names.join(", ")));
        match suggest::nearest(text, names.iter().copied()) {
            Some(name) => refusal.hint(format!("did you mean {name}?")),
            None => refusal,
        }
    })
}
