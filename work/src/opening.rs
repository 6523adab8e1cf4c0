//! With which words a request begins: requests that begin alike are quicker at the worker that saw the
//! first of them, which still has that part of the prompt in its cache.

use crate::{endpoint::Endpoint, limits::OPENING_BYTES};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The hash of a request's opening; equal where the instructions are, else where the first 512 bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Opening(pub u64);

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
}

impl Opening {
    /// Of a chat's messages: the instructions (`system` and `developer`) that come before all else, or
    /// the beginning of the first message where there are none.
    pub(crate) fn of_messages(messages: &RawValue) -> Self {
        let messages: Vec<&RawValue> = serde_json::from_str(messages.get()).unwrap_or_default();
        let instructions = messages.iter().take_while(|message| is_instruction(message));
        let mut hash = Sha256::new();
        let mut some = false;
        for instruction in instructions {
            hash.update(instruction.get());
            some = true;
        }
        match messages.first() {
            Some(first) if !some => Self::of_text(first.get()),
            _ => Self::of_digest(&hash.finalize()),
        }
    }

    /// Of a prompt: its beginning.
    pub(crate) fn of_text(text: &str) -> Self {
        let beginning = text.as_bytes().get(..OPENING_BYTES).unwrap_or(text.as_bytes());
        Self::of_digest(&Sha256::digest(beginning))
    }

    /// Of the parts of a body. Embeddings have none: no prompt of theirs is kept.
    pub(crate) fn of(endpoint: Endpoint, messages: Option<&RawValue>, prompt: Option<&RawValue>) -> Self {
        match endpoint {
            Endpoint::ChatCompletions => messages.map(Self::of_messages),
            Endpoint::Completions => prompt.map(|prompt| Self::of_text(prompt.get())),
            Endpoint::Embeddings => None,
        }
        .unwrap_or_default()
    }

    fn of_digest(digest: &[u8]) -> Self {
        Self(digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

fn is_instruction(message: &RawValue) -> bool {
    let role = serde_json::from_str::<Message<'_>>(message.get()).ok().and_then(|message| message.role);
    matches!(role.as_deref(), Some("system" | "developer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(messages: &str) -> Opening {
        let raw = RawValue::from_string(messages.to_owned()).unwrap();
        Opening::of(Endpoint::ChatCompletions, Some(&raw), None)
    }

    #[test]
    fn requests_with_the_same_instructions_open_alike_whatever_is_asked() {
        let system = r#"{"role":"system","content":"You sort mail."}"#;
        let ask = |text: &str| format!(r#"[{system},{{"role":"user","content":"{text}"}}]"#);
        assert_eq!(chat(&ask("one")), chat(&ask("two")));
        assert_ne!(chat(&ask("one")), chat(r#"[{"role":"user","content":"one"}]"#));
    }

    #[test]
    fn without_instructions_the_beginning_of_the_first_message_counts() {
        let long =
            |end: &str| format!(r#"[{{"role":"user","content":"{}{end}"}}]"#, "x".repeat(OPENING_BYTES));
        assert_eq!(chat(&long("a")), chat(&long("b")));
        assert_ne!(chat(r#"[{"role":"user","content":"a"}]"#), chat(r#"[{"role":"user","content":"b"}]"#));
        assert_eq!(chat("[]"), chat("[]"));
        assert_eq!(chat("7"), chat("[]"), "what is no list opens with nothing");
    }
}
