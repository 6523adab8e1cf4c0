//! What a request asks, in whichever API it is put.

use super::context::{Prompt, Wanted};
use serde::Deserialize;
use serde_json::Value;

/// What an answer is made from.
#[derive(Debug)]
pub(super) struct Question {
    /// As it was asked for, knobs included.
    pub(super) model: String,
    pub(super) prompt: Prompt,
    pub(super) context: Wanted,
    pub(super) seed: i64,
    /// Ollama takes 0 and less for no limit.
    pub(super) max_tokens: Option<i64>,
    pub(super) form: Form,
}

/// What the answer is to look like.
#[derive(Debug)]
pub(super) enum Form {
    Text,
    /// Any JSON object.
    Json,
    /// JSON that fits this schema.
    Schema(Value),
    /// A call of this tool, with arguments that fit its schema.
    Call {
        name: String,
        parameters: Value,
    },
}

/// Why a question is refused with 400, in Ollama's words where it has some.
pub(super) type Refused = String;

/// A body as serde_json reads it. Of a key that stands twice the last counts, as with Ollama.
pub(super) fn parse<'b, T: Deserialize<'b>>(body: &[u8]) -> Result<T, Refused> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    T::deserialize(value).map_err(|error| error.to_string())
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Value,
}

/// The texts of all messages; the rest, such as images, is accepted unseen.
pub(super) fn prompt(messages: &[Message]) -> Result<Prompt, Refused> {
    let mut prompt = Prompt::default();
    for message in messages {
        // No text and an empty one are the same to a template.
        let mut push = |text: &str| {
            if !text.is_empty() {
                prompt.push(message.role == "system", format!("{text}\n"));
            }
        };
        match &message.content {
            Value::String(text) => push(text),
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part["text"].as_str()).for_each(push);
            }
            Value::Null if !message.tool_calls.is_null() => (),
            _ => return Err("invalid message content type: <nil>".to_owned()),
        }
    }
    Ok(prompt)
}

/// A call of the first tool, if one may be called now: after the user spoke, not after a tool did.
pub(super) fn call(messages: &[Message], tools: &[Value], choice: &Value) -> Option<Form> {
    let function = &tools.first()?["function"];
    let users_turn = messages.last().is_some_and(|message| message.role == "user");
    if !users_turn || choice == "none" {
        return None;
    }
    let name = function["name"].as_str()?.to_owned();
    Some(Form::Call { name, parameters: function["parameters"].clone() })
}
