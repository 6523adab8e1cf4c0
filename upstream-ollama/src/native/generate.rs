//! `/v1/completions` as `/api/generate`.

use super::{
    Back, Form, Question, Stamp, StreamOptions, Untranslatable,
    options::{Asked, Options},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    /// Of OpenAI's forms of a prompt Ollama takes the text only.
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    suffix: Option<&'a RawValue>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// How many choices are shown for each token.
    logprobs: Option<u64>,
}

#[derive(Serialize)]
struct Native<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a RawValue>,
    stream: bool,
    truncate: bool,
    shift: bool,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
}

pub(super) fn translate(body: &[u8], num_ctx: u64, stamp: Stamp) -> Result<Question, Untranslatable> {
    let asked: Body<'_> = serde_json::from_slice(body)?;
    let options: Asked<'_> = serde_json::from_slice(body)?;
    if asked.prompt.is_some_and(|prompt| !prompt.get().starts_with('"')) {
        return Err(Untranslatable("the prompt is not one text".into()));
    }
    let native = Native {
        model: &asked.model,
        prompt: asked.prompt,
        suffix: asked.suffix,
        stream: asked.stream.unwrap_or(false),
        truncate: false,
        shift: false,
        options: options.options(num_ctx)?,
        logprobs: asked.logprobs.map(|_| true),
        top_logprobs: asked.logprobs,
    };
    let body = serde_json::to_vec(&native)?.into();
    let include_usage = asked.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
    let back = Back { form: Form::Text, model: asked.model.into_owned(), stamp, include_usage, num_ctx };
    Ok(Question { path: "/api/generate", body, back })
}
