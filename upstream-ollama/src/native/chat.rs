//! `/v1/chat/completions` as `/api/chat`.

mod messages;

use super::{
    Back, Form, Question, Stamp, StreamOptions, Untranslatable,
    options::{Asked, Options},
};
use messages::{Message, NativeMessage, messages};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(borrow)]
    reasoning: Option<Reasoning<'a>>,
    #[serde(borrow)]
    reasoning_effort: Option<Cow<'a, str>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Native<'a> {
    model: &'a str,
    messages: Vec<NativeMessage<'a>>,
    stream: bool,
    truncate: bool,
    shift: bool,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Json(&'static str),
    Schema(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think<'a> {
    Not(bool),
    Effort(&'a str),
}

pub(super) fn translate(body: &[u8], num_ctx: u64, stamp: Stamp) -> Result<Question, Untranslatable> {
    let asked: Body<'_> = serde_json::from_slice(body)?;
    let options: Asked<'_> = serde_json::from_slice(body)?;
    let stream = asked.stream.unwrap_or(false);
    let native = Native {
        model: &asked.model,
        messages: messages(&asked.messages)?,
        stream,
        truncate: false,
        shift: false,
        options: options.options(num_ctx)?,
        tools: asked.tools,
        format: asked.response_format.as_ref().and_then(format),
        think: think(&asked)?,
        logprobs: asked.logprobs,
        top_logprobs: asked.top_logprobs,
    };
    let body = serde_json::to_vec(&native)?.into();
    drop(native);
    let include_usage = asked.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
    let back = Back { form: Form::Chat, model: asked.model.into_owned(), stamp, include_usage, num_ctx };
    Ok(Question { path: "/api/chat", body, back })
}

fn format<'a>(asked: &ResponseFormat<'a>) -> Option<Format<'a>> {
    match asked.r#type.trim().to_ascii_lowercase().as_str() {
        "json_object" => Some(Format::Json("json")),
        "json_schema" => asked.json_schema.as_ref()?.schema.map(Format::Schema),
        _ => None,
    }
}

fn think<'a>(asked: &'a Body<'a>) -> Result<Option<Think<'a>>, Untranslatable> {
    let effort = match &asked.reasoning {
        Some(reasoning) => reasoning.effort.as_deref(),
        None => asked.reasoning_effort.as_deref(),
    };
    match effort {
        None | Some("") => Ok(None),
        Some("none") => Ok(Some(Think::Not(false))),
        Some(effort @ ("high" | "medium" | "low")) => Ok(Some(Think::Effort(effort))),
        Some(other) => Err(Untranslatable(format!("the reasoning effort `{other}` cannot be put to Ollama"))),
    }
}
