//! The token counts of an answer: reading them, and taking them out where the tool did not ask.
//!
//! `data` is what stands behind `data: ` in one SSE event. Everything here looks at bytes that were
//! or will be forwarded as they are; only [`strip`] makes others.

use crate::{
    edits::Edits,
    members::{self, Member},
};
use memchr::memmem::Finder;
use protocol::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::LazyLock;

/// Almost no chunk has it, so that a search spares almost every parse.
static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));

/// What [`strip`] made of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stripped {
    /// Forward it as it came.
    Unchanged,
    /// The extra chunk at a stream's end, without choices and nothing but usage: do not forward it.
    Dropped,
    /// Forward this in its place: the same without its usage.
    Edited(Vec<u8>),
}

/// The usage in a chunk, if it has one that is not null.
pub fn of_event(data: &[u8]) -> Option<Usage> {
    KEY.find(data)?;
    of_answer(data)
}

/// The usage in a whole answer. An answer of embeddings counts no output.
pub fn of_answer(body: &[u8]) -> Option<Usage> {
    let answer: WithUsage = serde_json::from_slice(body).ok()?;
    let counts = answer.usage?;
    Some(Usage { input_tokens: counts.prompt_tokens?, output_tokens: counts.completion_tokens.unwrap_or(0) })
}

#[derive(Deserialize)]
struct WithUsage {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Takes the usage out of a chunk, for a tool that did not ask for it. The word may stand in a text
/// as well; only a member of the chunk itself counts.
pub fn strip(data: &[u8]) -> Stripped {
    if KEY.find(data).is_none() {
        return Stripped::Unchanged;
    }
    std::str::from_utf8(data).ok().and_then(without_usage).unwrap_or(Stripped::Unchanged)
}

fn without_usage(text: &str) -> Option<Stripped> {
    let mut edits = Edits::default();
    let (mut counts, mut no_choices, mut error, mut keeps_one) = (false, false, false, false);
    members::walk(text, |member| {
        let value = &text[member.value.range()];
        match &text[member.key.range()] {
            "\"usage\"" => {
                counts |= value != "null";
                return remove(member, text, keeps_one, &mut edits);
            }
            "\"choices\"" => no_choices |= is_empty(value),
            "\"error\"" => error = true,
            _ => (),
        }
        keeps_one = true;
    })
    .ok()?;
    Some(match (counts && no_choices && !error, edits.is_empty()) {
        (true, _) => Stripped::Dropped,
        (false, true) => Stripped::Unchanged,
        (false, false) => Stripped::Edited(edits.apply(text.as_bytes())),
    })
}

fn remove(member: Member, text: &str, keeps_one: bool, edits: &mut Edits) {
    let before = member.cut_with_comma_before().filter(|_| keeps_one);
    edits.remove(before.unwrap_or_else(|| member.cut_with_comma_after(text.as_bytes())));
}

/// Whether a chunk says something: text, reasoning or a part of a tool call. Counting these is how a
/// stream that was cut is measured.
pub fn has_text(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk<'_>>(data)
        .is_ok_and(|chunk| chunk.choices.iter().any(Choice::says_something))
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl Choice<'_> {
    fn says_something(&self) -> bool {
        let of_delta = self.delta.as_ref().is_some_and(|delta| {
            [delta.content, delta.reasoning, delta.reasoning_content, delta.refusal, delta.tool_calls]
                .into_iter()
                .flatten()
                .any(|value| !is_empty(value.get()))
        });
        of_delta || self.text.is_some_and(|text| !is_empty(text.get()))
    }
}

/// Whether a JSON value is null, or a string, a list or an object with nothing in it.
fn is_empty(value: &str) -> bool {
    match value.as_bytes() {
        b"null" | b"\"\"" => true,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => inner.trim_ascii().is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
