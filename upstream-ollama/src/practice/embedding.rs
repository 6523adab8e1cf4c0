//! `POST /v1/embeddings` and `POST /api/embed`.

use super::{
    behaviour::{Trouble, UsageStyle},
    context::{Prompt, TOO_LONG, TooLong, Wanted},
    exchange::Exchange,
    names, native, openai,
    question::{self, Refused},
    stream,
    words::{self, Random},
};
use axum::{
    Extension, Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Numbers in a vector. A request can ask for fewer; more it does not get, as with Ollama.
const DIMENSIONS: usize = 384;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    #[serde(default)]
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
    // Of Ollama's own API.
    truncate: Option<bool>,
    options: Option<Options>,
}

#[derive(Default, Deserialize)]
struct Options {
    num_ctx: Option<u64>,
}

struct Question {
    model: String,
    inputs: Vec<String>,
    base64: bool,
    dimensions: usize,
    context: Wanted,
}

/// Whether an answer is made, or what is said instead.
type Embedded = Result<(Question, UsageStyle), Response>;

/// How one of the two APIs refuses.
type Refusing = fn(StatusCode, &str) -> Response;

pub(super) async fn embeddings(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    // `/v1` knows neither.
    let read = read(&body).map(|question| Question { context: Wanted::default(), ..question });
    match embed(&exchange, read, openai::refusal).await {
        Ok((question, usage)) => Json(answer(&question, usage)).into_response(),
        Err(refusal) => refusal,
    }
}

pub(super) async fn native(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    match embed(&exchange, read(&body), native::refusal).await {
        Ok((question, _)) => Json(native_answer(&question)).into_response(),
        Err(refusal) => refusal,
    }
}

async fn embed(exchange: &Exchange, question: Result<Question, Refused>, refusal: Refusing) -> Embedded {
    let mut question = question.map_err(|why| refusal(StatusCode::BAD_REQUEST, &why))?;
    let engine = &exchange.engine;
    let Some((model, knobs)) = names::find(&engine.models, &question.model) else {
        return Err(refusal(StatusCode::NOT_FOUND, &openai::not_found(&question.model)));
    };
    let context = engine.load(model, question.context.num_ctx);
    let cut = question.context.truncate || !engine.contexts.refuses;
    let fitted = question.inputs.iter().map(|input| Prompt::of(input.clone()).fitted(context, cut));
    let fitted: Result<Vec<String>, TooLong> = fitted.collect();
    question.inputs = fitted.map_err(|TooLong| refusal(StatusCode::BAD_REQUEST, TOO_LONG))?;
    let pace = knobs.pace(exchange.behaviour.pace.unwrap_or(engine.pace));
    if !pace.first_token.is_zero() {
        tokio::time::sleep(pace.first_token).await;
    }
    match exchange.trouble(&knobs.trouble) {
        Trouble::Fail { status, .. } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Err(refusal(status, openai::ON_DEMAND));
        }
        Trouble::ErrorAfter(_) => {
            return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, openai::ON_DEMAND));
        }
        Trouble::CutAfter(_) => {
            exchange.finish();
            return Err(stream::broken_off());
        }
        Trouble::HangAfter(_) => exchange.hang().await,
        Trouble::None | Trouble::Hang | Trouble::RefuseBody => (),
    }
    exchange.finish();
    Ok((question, exchange.behaviour.usage))
}

fn read(body: &[u8]) -> Result<Question, Refused> {
    let Body { model, input, encoding_format, dimensions, truncate, options } = question::parse(body)?;
    let format = encoding_format.unwrap_or_default().to_ascii_lowercase();
    if !["", "float", "base64"].contains(&format.as_str()) {
        return Err(format!(
            "Invalid value for 'encoding_format' = {format}. Supported values: ['float', 'base64']."
        ));
    }
    let dimensions = dimensions.filter(|wanted| *wanted > 0).unwrap_or(DIMENSIONS).min(DIMENSIONS);
    let num_ctx = options.unwrap_or_default().num_ctx;
    let context = Wanted { num_ctx, truncate: truncate.unwrap_or(true), ..Wanted::default() };
    Ok(Question { model, inputs: inputs(input)?, base64: format == "base64", dimensions, context })
}

/// One text or a list of texts; Ollama takes no lists of tokens.
fn inputs(input: Value) -> Result<Vec<String>, Refused> {
    let texts = match input {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) if !items.is_empty() => {
            items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    texts.ok_or_else(|| "invalid input".to_owned())
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    embedding: Vector,
    index: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    /// Base64 of little-endian floats.
    Text(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

fn answer(question: &Question, style: UsageStyle) -> Answer<'_> {
    let embed = |(index, text): (usize, &String)| Embedding {
        object: "embedding",
        embedding: written(vector(text, question.dimensions), question.base64),
        index,
    };
    let prompt_tokens = prompt_tokens(question);
    Answer {
        object: "list",
        data: question.inputs.iter().enumerate().map(embed).collect(),
        model: &question.model,
        usage: (style != UsageStyle::Omitted).then_some(Usage { prompt_tokens, total_tokens: prompt_tokens }),
    }
}

fn prompt_tokens(question: &Question) -> u64 {
    question.inputs.iter().map(|text| words::count(text).max(1)).sum()
}

#[derive(Serialize)]
struct NativeAnswer<'a> {
    model: &'a str,
    embeddings: Vec<Vec<f32>>,
    prompt_eval_count: u64,
}

fn native_answer(question: &Question) -> NativeAnswer<'_> {
    NativeAnswer {
        model: &question.model,
        embeddings: question.inputs.iter().map(|text| vector(text, question.dimensions)).collect(),
        prompt_eval_count: prompt_tokens(question),
    }
}

/// Of length 1, the same for the same text.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut random = Random::of(text, 0);
    let numbers: Vec<f32> = (0..dimensions).map(|_| random.unit()).collect();
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length == 0.0 { numbers } else { numbers.into_iter().map(|number| number / length).collect() }
}

fn written(numbers: Vec<f32>, base64: bool) -> Vector {
    if !base64 {
        return Vector::Floats(numbers);
    }
    let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Vector::Text(STANDARD.encode(bytes))
}
