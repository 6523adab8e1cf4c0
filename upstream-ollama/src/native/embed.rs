//! `/v1/embeddings` as `/api/embed`, and its answer back.

use super::{Answered, Back, Form, NotOllamas, Question, Stamp, Untranslatable};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(borrow)]
    encoding_format: Option<Cow<'a, str>>,
    #[serde(borrow)]
    dimensions: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Native<'a> {
    model: &'a str,
    input: &'a RawValue,
    truncate: bool,
    options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Options {
    num_ctx: u64,
}

pub(super) fn translate(body: &[u8], num_ctx: u64, stamp: Stamp) -> Result<Question, Untranslatable> {
    let asked: Body<'_> = serde_json::from_slice(body)?;
    let base64 = match asked.encoding_format.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "float" => false,
        "base64" => true,
        other => return Err(Untranslatable(format!("the encoding `{other}` is neither float nor base64"))),
    };
    let inputs = if asked.input.get().starts_with('"') {
        1
    } else {
        serde_json::from_str::<Vec<Cow<'_, str>>>(asked.input.get())?.len()
    };
    if inputs == 0 {
        return Err(Untranslatable("there is no input".into()));
    }
    let options = Options { num_ctx };
    let (model, input) = (asked.model.as_ref(), asked.input);
    let native = Native { model, input, truncate: false, options, dimensions: asked.dimensions };
    let body = serde_json::to_vec(&native)?.into();
    let form = Form::Vectors { base64, inputs };
    let back = Back { form, model: asked.model.into_owned(), stamp, include_usage: false, num_ctx };
    Ok(Question { path: "/api/embed", body, back })
}

#[derive(Deserialize)]
struct Embedded<'a> {
    #[serde(borrow)]
    embeddings: Vec<&'a RawValue>,
    prompt_eval_count: Option<u64>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Embedding<'a> {
    object: &'static str,
    embedding: Vector<'a>,
    index: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Floats(&'a RawValue),
    /// Base64 of little-endian floats.
    Text(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(super) fn whole(back: &Back, body: &[u8]) -> Result<Answered, NotOllamas> {
    let embedded: Embedded<'_> = serde_json::from_slice(body)?;
    let base64 = matches!(back.form, Form::Vectors { base64: true, .. });
    let data = embedded.embeddings.iter().enumerate().map(|(index, floats)| {
        let embedding = if base64 { Vector::Text(encoded(floats)?) } else { Vector::Floats(floats) };
        Ok(Embedding { object: "embedding", embedding, index })
    });
    let data = data.collect::<Result<_, serde_json::Error>>()?;
    let prompt_tokens = embedded.prompt_eval_count.unwrap_or(0);
    let usage = Usage { prompt_tokens, total_tokens: prompt_tokens };
    let list = List { object: "list", data, model: &back.model, usage };
    Ok(Answered { body: serde_json::to_vec(&list)?.into(), was_cut: back.was_cut(prompt_tokens) })
}

fn encoded(floats: &RawValue) -> Result<String, serde_json::Error> {
    let floats: Vec<f32> = serde_json::from_str(floats.get())?;
    let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(STANDARD.encode(bytes))
}
