//! What Ollama's own API tells of itself: its version, what it has, what is loaded.

use super::{Contexts, VERSION, engine::Engine, names, openai, question, words::Random};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use protocol::ModelName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const CREATED_AT: &str = "2026-01-01T00:00:00Z";

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
    let models: Vec<Value> =
        engine.loaded().iter().map(|(model, context)| ps_entry(model, *context)).collect();
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

fn ps_entry(model: &ModelName, context: u64) -> Value {
    let mut entry = tags_entry(model);
    entry["expires_at"] = CREATED_AT.into();
    entry["size_vram"] = 0.into();
    entry["context_length"] = context.into();
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
        Some((model, _)) => Json(shown(model, &engine.contexts)).into_response(),
        None => refusal(StatusCode::NOT_FOUND, &openai::not_found(&asked)),
    }
}

fn shown(model: &ModelName, contexts: &Contexts) -> Value {
    let num_ctx = format!("num_ctx                        {}", contexts.by_default);
    let parameters = if contexts.in_modelfile { num_ctx } else { String::new() };
    let embeds = model.as_str().contains("embed");
    let capabilities = if embeds { json!(["embedding"]) } else { json!(["completion", "tools"]) };
    json!({
        "license": "None is needed: this is the practice engine of Lobstah, and no model at all.",
        "modelfile": "# The practice engine of Lobstah: no model at all.\n",
        "parameters": parameters,
        "template": template(model),
        "details": details(),
        "model_info": {
            "general.architecture": "practice",
            "general.parameter_count": 0,
            "practice.context_length": contexts.trained,
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
