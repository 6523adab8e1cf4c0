//! What the endpoints under `/v1` have in common: shapes, errors, the list of models.

use super::{
    answer::Call,
    context::TOO_LONG,
    engine::Engine,
    names,
    talk::{Talk, Unable},
};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use std::sync::Arc;

/// When everything was made: the engine reads no clock. 2026-01-01T00:00:00Z.
pub(super) const CREATED: u64 = 1_767_225_600;

/// The text of an error that was ordered.
pub(super) const ON_DEMAND: &str = "the practice engine was told to fail";

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// Ollama's form of an error: `param` and `code` are always null.
pub(super) fn error_json(status: StatusCode, message: &str) -> Bytes {
    let r#type = match status {
        StatusCode::BAD_REQUEST => "invalid_request_error",
        StatusCode::NOT_FOUND => "not_found_error",
        _ => "api_error",
    };
    json(&ErrorBody { error: ErrorObject { message, r#type, param: None, code: None } })
}

pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    (status, [(http::header::CONTENT_TYPE, "application/json")], error_json(status, message)).into_response()
}

/// The status and the words for a talk that cannot be.
pub(super) fn words_for(unable: &Unable) -> (StatusCode, String) {
    match unable {
        Unable::NoSuchModel(model) => (StatusCode::NOT_FOUND, not_found(model)),
        Unable::NoChat(model) => (StatusCode::BAD_REQUEST, format!("\"{model}\" does not support chat")),
        Unable::TooLong => (StatusCode::BAD_REQUEST, TOO_LONG.to_owned()),
        Unable::Failing(status) => {
            (StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), ON_DEMAND.to_owned())
        }
    }
}

pub(super) fn not_found(model: &str) -> String {
    format!("model '{model}' not found")
}

/// Both a whole answer and a chunk of one; `object` says which.
#[derive(Serialize)]
pub(super) struct Completion<'a, C> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) system_fingerprint: &'static str,
    pub(super) choices: Vec<C>,
    /// The inner None is written as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<Usage>>,
}

pub(super) fn completion<'a, C>(
    id: &'a str,
    object: &'static str,
    model: &'a str,
    choices: Vec<C>,
) -> Completion<'a, C> {
    Completion { id, object, created: CREATED, model, system_fingerprint: "fp_ollama", choices, usage: None }
}

#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl Usage {
    pub(super) fn of(talk: &Talk) -> Usage {
        let (prompt_tokens, completion_tokens) = (talk.answer.prompt_tokens, talk.tokens);
        Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

#[derive(Serialize)]
pub(super) struct ToolCall {
    id: String,
    index: usize,
    r#type: &'static str,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    name: String,
    /// JSON in a string, as OpenAI has it.
    arguments: String,
}

/// Ollama labels every call of a chunk by its place.
pub(super) fn tool_calls(calls: Vec<Call>) -> Vec<ToolCall> {
    let numbered = calls.into_iter().enumerate();
    numbered
        .map(|(index, Call { id, name, arguments })| ToolCall {
            id,
            index,
            r#type: "function",
            function: Function { name, arguments: arguments.to_string() },
        })
        .collect()
}

pub(super) fn json(value: &impl Serialize) -> Bytes {
    // Only a map with keys that are no strings, or a failing Serialize, has no JSON; we have neither.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl Model {
    fn named(id: &str) -> Model {
        Model { id: id.to_owned(), object: "model", created: CREATED, owned_by: "library" }
    }
}

#[derive(Serialize)]
struct Models {
    object: &'static str,
    data: Vec<Model>,
}

pub(super) async fn models(State(engine): State<Arc<Engine>>) -> Response {
    let data = engine.models.iter().map(|model| Model::named(model.as_str())).collect();
    Json(Models { object: "list", data }).into_response()
}

pub(super) async fn model(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> Response {
    match names::find(&engine.models, &id) {
        Some(_) => Json(Model::named(&id)).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &not_found(&id)),
    }
}
