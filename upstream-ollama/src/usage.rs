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
    text_bytes(data) > 0
}

/// How many bytes of text, reasoning and tool calls are in a chunk or a whole answer, as they are written in its
/// JSON; 0 in what is neither. Everything else in it is not what anybody asked for.
pub fn text_bytes(data: &[u8]) -> u64 {
    let answer = serde_json::from_slice::<Said<'_>>(data);
    answer.map_or(0, |answer| answer.choices.iter().map(Choice::text_bytes).sum())
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Choice<'_> {
    fn text_bytes(&self) -> u64 {
        let said = [&self.delta, &self.message].into_iter().flatten();
        said.map(Message::text_bytes).sum::<u64>() + length(self.text)
    }
}

impl Message<'_> {
    fn text_bytes(&self) -> u64 {
        let texts = [self.content, self.reasoning, self.reasoning_content, self.refusal];
        let calls = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref());
        let calls = calls.map(|function| length(function.name) + length(function.arguments));
        texts.into_iter().map(length).sum::<u64>() + calls.sum::<u64>()
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

/// What a value has between its quotes or brackets; nothing for null.
fn length(value: Option<&RawValue>) -> u64 {
    let text = value.map_or("null", RawValue::get).trim();
    match text.as_bytes() {
        b"null" => 0,
        [b'"', inner @ .., b'"'] => inner.len() as u64,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => inner.trim_ascii().len() as u64,
        other => other.len() as u64,
    }
}

#[cfg(test)]
mod tests;
