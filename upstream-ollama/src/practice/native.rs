//! Ollama's own API, under `/api`.

use super::{
    VERSION,
    answer::Piece,
    engine::Engine,
    exchange::Exchange,
    names, openai,
    question::{self, Form, Message, Question, Refused},
    stream::{self, Writer},
    talk::{Talk, Turn},
    words::Random,
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use protocol::ModelName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const CREATED_AT: &str = "2026-01-01T00:00:00Z";
const CONTEXT_LENGTH: u64 = 32_768;
/// Smaller than what it could, so that the two are not confused.
const NUM_CTX: u64 = 8192;

pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

pub(super) async fn version() -> Response {
    Json(json!({ "version": VERSION })).into_response()
}

pub(super) async fn tags(State(engine): State<Arc<Engine>>) -> Response {
    let models: Vec<Value> = engine.models.iter().map(tags_entry).collect();
    Json(json!({ "models": models })).into_response()
}

pub(super) async fn ps(State(engine): State<Arc<Engine>>) -> Response {
    let models: Vec<Value> = engine.loaded().iter().map(ps_entry).collect();
    Json(json!({ "models": models })).into_response()
}

fn tags_entry(model: &ModelName) -> Value {
    json!({
        "name": model.as_str(),
        "model": model.as_str(),
        "modified_at": CREATED_AT,
        "size": 0,
        "digest": digest(model),
        "details": details(),
    })
}

fn ps_entry(model: &ModelName) -> Value {
    let mut entry = tags_entry(model);
    entry["expires_at"] = CREATED_AT.into();
    entry["size_vram"] = 0.into();
    entry["context_length"] = NUM_CTX.into();
    entry
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "practice",
        "family": "practice",
        "families": ["practice"],
        "parameter_size": "0",
        "quantization_level": "none",
    })
}

/// Looks like Ollama's, and differs from model to model.
fn digest(model: &ModelName) -> String {
    let mut random = Random::of(model.as_str(), 0);
    (0..4).map(|_| format!("{:016x}", random.next())).collect()
}

#[derive(Deserialize)]
struct ShowBody {
    model: Option<String>,
    /// What the model was called here in older versions.
    name: Option<String>,
}

pub(super) async fn show(State(engine): State<Arc<Engine>>, body: Bytes) -> Response {
    let asked = match question::parse::<ShowBody>(&body) {
        Ok(body) => body.model.or(body.name).unwrap_or_default(),
        Err(why) => return refusal(StatusCode::BAD_REQUEST, &why),
    };
    match names::find(&engine.models, &asked) {
        Some((model, _)) => Json(shown(model)).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &openai::not_found(&asked)),
    }
}

fn shown(model: &ModelName) -> Value {
    let embeds = model.as_str().contains("embed");
    let capabilities = if embeds { json!(["embedding"]) } else { json!(["completion", "tools"]) };
    json!({
        "license": "None is needed: this is the practice engine of Lobstah, and no model at all.",
        "modelfile": "# The practice engine of Lobstah: no model at all.\n",
        "parameters": format!("num_ctx                        {NUM_CTX}"),
        "template": template(model),
        "details": details(),
        "model_info": {
            "general.architecture": "practice",
            "general.parameter_count": 0,
            "practice.context_length": CONTEXT_LENGTH,
            "practice.embedding_length": 384,
        },
        "capabilities": capabilities,
        "modified_at": CREATED_AT,
    })
}

/// The smallest knows no developer, like many older models.
fn template(model: &ModelName) -> &'static str {
    if model.as_str().ends_with(":1b") {
        "{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}"
    } else {
        "{{ range .Messages }}{{ if eq .Role \"developer\" }}system{{ else }}{{ .Role }}{{ end }}: {{ .Content }}{{ end }}"
    }
}

#[derive(Deserialize)]
struct ChatBody {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    stream: Option<bool>,
    options: Option<Options>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    format: Value,
}

#[derive(Default, Deserialize)]
struct Options {
    seed: Option<i64>,
    num_predict: Option<i64>,
}

pub(super) async fn chat(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    let (question, stream) = match read(&body) {
        Ok(read) => read,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, &why),
    };
    let mut talk = match Talk::begin(exchange, &question) {
        Ok(talk) => talk,
        Err(unable) => {
            let (status, message) = openai::words_for(&unable);
            return refusal(status, &message);
        }
    };
    if stream {
        return stream::streamed(talk, Lines);
    }
    match talk.whole().await {
        Ok(whole) => {
            let calls = whole.calls.iter().map(|call| tool_call(&call.name, &call.arguments)).collect();
            Json(last(&talk, message(&whole.text, calls))).into_response()
        }
        Err(Turn::Cut) => stream::broken_off(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, openai::ON_DEMAND),
    }
}

/// With whether the answer is streamed, which it is unless the request says no.
fn read(body: &[u8]) -> Result<(Question, bool), Refused> {
    let body: ChatBody = question::parse(body)?;
    let prompt = question::prompt(&body.messages)?;
    let call = question::call(&body.messages, body.tools.as_deref().unwrap_or_default(), &Value::Null);
    let options = body.options.unwrap_or_default();
    let form = call.unwrap_or(match body.format {
        Value::String(format) if format == "json" => Form::Json,
        schema @ Value::Object(_) => Form::Schema(schema),
        _ => Form::Text,
    });
    let seed = options.seed.unwrap_or(0);
    let question = Question { model: body.model, prompt, seed, max_tokens: options.num_predict, form };
    Ok((question, body.stream.unwrap_or(true)))
}

fn tool_call(name: &str, arguments: &Value) -> Value {
    json!({ "function": { "name": name, "arguments": arguments } })
}

fn message(content: &str, tool_calls: Vec<Value>) -> Value {
    let mut message = json!({ "role": "assistant", "content": content });
    if !tool_calls.is_empty() {
        message["tool_calls"] = tool_calls.into();
    }
    message
}

fn answer(talk: &Talk, message: Value, done: bool) -> Value {
    json!({ "model": talk.model, "created_at": CREATED_AT, "message": message, "done": done })
}

/// An answer that is complete with this message. Here the reason for a tool call is `stop`.
fn last(talk: &Talk, message: Value) -> Value {
    let mut answer = answer(talk, message, true);
    answer["done_reason"] = if talk.answer.finish == "length" { "length" } else { "stop" }.into();
    answer["prompt_eval_count"] = talk.answer.prompt_tokens.into();
    answer["eval_count"] = talk.tokens.into();
    for duration in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
        // 1 ns: no clock is read.
        answer[duration] = 1.into();
    }
    answer
}

/// One JSON object a line.
struct Lines;

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

impl Writer for Lines {
    const CONTENT_TYPE: &'static str = "application/x-ndjson";

    fn piece(&mut self, talk: &Talk, piece: Piece) -> Bytes {
        let message = match piece {
            Piece::Text(text) => message(&text, Vec::new()),
            Piece::Call(call) => message("", vec![tool_call(&call.name, &call.arguments)]),
        };
        line(&answer(talk, message, false))
    }

    fn end(&mut self, talk: &Talk) -> Vec<Bytes> {
        vec![line(&last(talk, message("", Vec::new())))]
    }

    fn error(&mut self, message: &str) -> Bytes {
        line(&json!({ "error": message }))
    }
}
