//! An answer of `/api/chat` or `/api/generate`, or a line of one, as `/v1` has it.

use super::{Answered, Back, Form, NotOllamas};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What Ollama says of itself in every answer.
const FINGERPRINT: &str = "fp_ollama";

/// A whole answer, or a line of one.
#[derive(Deserialize)]
pub(super) struct Reply<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) done: bool,
    #[serde(borrow)]
    done_reason: Option<Cow<'a, str>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    /// An error in the place of an answer.
    #[serde(borrow)]
    pub(super) error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    arguments: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(flatten)]
    said: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Said<'a> {
    Message(Spoken<'a>),
    Delta(Spoken<'a>),
    Text(Text<'a>),
}

#[derive(Serialize)]
struct Spoken<'a> {
    role: &'static str,
    content: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Given(&'a RawValue),
    Empty(&'static str),
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: String,
    index: u64,
    r#type: &'static str,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a RawValue,
    /// JSON in a text, as OpenAI has it.
    arguments: &'a str,
}

#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a RawValue,
}

#[derive(Clone, Copy, Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

pub(super) fn whole(back: &Back, body: &[u8]) -> Result<Answered, NotOllamas> {
    let reply: Reply<'_> = serde_json::from_slice(body)?;
    if !reply.done {
        // Another server's answer may have none of our members, and would be put back as an empty one.
        let said = reply.error.as_deref().unwrap_or("it does not say that it is done");
        return Err(NotOllamas(serde::de::Error::custom(said)));
    }
    let choice = reply.choice(back, false, 0, false);
    let completion = Completion { choices: vec![choice], ..reply.frame(back, false) };
    let completion = Completion { usage: Some(reply.usage()), ..completion };
    Ok(Answered {
        body: serde_json::to_vec(&completion)?.into(),
        was_cut: back.was_cut(reply.prompt_tokens()),
    })
}

impl<'a> Reply<'a> {
    /// Tokens of the prompt, as the engine counts them.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.prompt_eval_count.unwrap_or(0)
    }

    /// How many tools it calls.
    pub(super) fn calls(&self) -> u64 {
        self.message
            .as_ref()
            .and_then(|message| message.tool_calls.as_ref())
            .map_or(0, |calls| calls.len() as u64)
    }

    /// One chunk of a stream. `called`: how many tools were called before it.
    pub(super) fn chunk<'r>(&'r self, back: &'r Back, called: u64) -> Completion<'r> {
        Completion { choices: vec![self.choice(back, true, called, called > 0)], ..self.frame(back, true) }
    }

    /// The chunk that tells the usage and nothing else.
    pub(super) fn usage_chunk<'r>(&'r self, back: &'r Back) -> Completion<'r> {
        Completion { usage: Some(self.usage()), ..self.frame(back, true) }
    }

    fn frame<'r>(&self, back: &'r Back, chunk: bool) -> Completion<'r> {
        let (prefix, object) = match (back.form, chunk) {
            (Form::Chat, false) => ("chatcmpl", "chat.completion"),
            (Form::Chat, true) => ("chatcmpl", "chat.completion.chunk"),
            _ => ("cmpl", "text_completion"),
        };
        Completion {
            id: format!("{prefix}-{}", back.stamp.id),
            object,
            created: back.stamp.created,
            model: &back.model,
            system_fingerprint: FINGERPRINT,
            choices: Vec::new(),
            usage: None,
        }
    }

    fn choice<'r>(&'r self, back: &Back, chunk: bool, called: u64, called_before: bool) -> Choice<'r> {
        let said = match (back.form, chunk) {
            (Form::Chat, false) => Said::Message(self.spoken(back, called)),
            (Form::Chat, true) => Said::Delta(self.spoken(back, called)),
            _ => Said::Text(text(self.response)),
        };
        let calls = called_before || self.calls() > 0;
        let reason = self.done_reason.as_deref().filter(|reason| !reason.is_empty());
        let finish_reason = reason.or((self.done && calls).then_some("stop")).map(|reason| match calls {
            true => Cow::Borrowed("tool_calls"),
            false => Cow::Borrowed(reason),
        });
        let logprobs = self.logprobs.map(|content| Logprobs { content });
        Choice { index: 0, said, logprobs, finish_reason }
    }

    fn spoken<'r>(&'r self, back: &Back, called: u64) -> Spoken<'r> {
        let message = self.message.as_ref();
        let calls = message.and_then(|message| message.tool_calls.as_ref()).into_iter().flatten();
        let tool_call = |(place, call): (u64, &'r Call<'a>)| ToolCall {
            // Older Ollamas name none.
            id: call.id.as_deref().map_or_else(|| format!("call_{}_{place}", back.stamp.id), str::to_owned),
            index: call.function.index.unwrap_or(place),
            r#type: "function",
            function: Called { name: call.function.name, arguments: call.function.arguments.get() },
        };
        Spoken {
            role: "assistant",
            content: text(message.and_then(|message| message.content)),
            reasoning: message.and_then(|message| message.thinking).filter(|text| text.get() != "\"\""),
            tool_calls: (called..).zip(calls).map(tool_call).collect(),
        }
    }

    fn usage(&self) -> Usage {
        let (prompt_tokens, completion_tokens) = (self.prompt_tokens(), self.eval_count.unwrap_or(0));
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Usage { prompt_tokens, completion_tokens, total_tokens }
    }
}

fn text(given: Option<&RawValue>) -> Text<'_> {
    given.map_or(Text::Empty(""), Text::Given)
}
