//! `POST /api/chat` and `POST /api/generate`.

use super::{
    answer::{Call, Piece},
    context::{Prompt, Wanted},
    exchange::Exchange,
    native::{CREATED_AT, refusal},
    openai,
    question::{self, Form, Message, Question, Refused},
    stream::{self, Writer},
    talk::{Talk, Turn},
};
use axum::{
    Extension, Json,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Of both endpoints; each has what the other leaves out.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    prompt: String,
    stream: Option<bool>,
    options: Option<Options>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    format: Value,
    truncate: Option<bool>,
    shift: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Options {
    seed: Option<i64>,
    num_predict: Option<i64>,
    num_ctx: Option<u64>,
}

/// Which of the two.
#[derive(Clone, Copy)]
enum Endpoint {
    Chat,
    Generate,
}

pub(super) async fn chat(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    respond(Endpoint::Chat, exchange, &body).await
}

pub(super) async fn generate(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    respond(Endpoint::Generate, exchange, &body).await
}

async fn respond(endpoint: Endpoint, exchange: Arc<Exchange>, body: &[u8]) -> Response {
    let (question, stream) = match read(endpoint, body) {
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
        return stream::streamed(talk, Lines(endpoint));
    }
    match talk.whole().await {
        Ok(whole) => Json(endpoint.last(&talk, &whole.text, &whole.calls)).into_response(),
        Err(Turn::Cut) => stream::broken_off(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, openai::ON_DEMAND),
    }
}

/// With whether the answer is streamed, which it is unless the request says no.
fn read(endpoint: Endpoint, body: &[u8]) -> Result<(Question, bool), Refused> {
    let body: Body = question::parse(body)?;
    let prompt = match endpoint {
        Endpoint::Chat => question::prompt(&body.messages)?,
        Endpoint::Generate => Prompt::of(body.prompt),
    };
    let call = question::call(&body.messages, body.tools.as_deref().unwrap_or_default(), &Value::Null);
    let options = body.options.unwrap_or_default();
    let form = call.unwrap_or(match body.format {
        Value::String(format) if format == "json" => Form::Json,
        schema @ Value::Object(_) => Form::Schema(schema),
        _ => Form::Text,
    });
    let context = Wanted {
        num_ctx: options.num_ctx,
        truncate: body.truncate.unwrap_or(true),
        shift: body.shift.unwrap_or(true),
    };
    let (seed, max_tokens) = (options.seed.unwrap_or(0), options.num_predict);
    let question = Question { model: body.model, prompt, context, seed, max_tokens, form };
    Ok((question, body.stream.unwrap_or(true)))
}

impl Endpoint {
    fn answer(self, talk: &Talk, text: &str, calls: &[Call], done: bool) -> Value {
        let mut answer = json!({ "model": talk.model, "created_at": CREATED_AT, "done": done });
        match self {
            Endpoint::Generate => answer["response"] = text.into(),
            Endpoint::Chat => {
                answer["message"] = json!({ "role": "assistant", "content": text });
                if !calls.is_empty() {
                    answer["message"]["tool_calls"] = calls.iter().map(tool_call).collect();
                }
            }
        }
        answer
    }

    /// An answer that is complete with this. Here the reason for a tool call is `stop`.
    fn last(self, talk: &Talk, text: &str, calls: &[Call]) -> Value {
        let mut answer = self.answer(talk, text, calls, true);
        answer["done_reason"] = if talk.answer.finish == "length" { "length" } else { "stop" }.into();
        answer["prompt_eval_count"] = talk.answer.prompt_tokens.into();
        answer["eval_count"] = talk.tokens.into();
        for duration in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
            // 1 ns: no clock is read.
            answer[duration] = 1.into();
        }
        answer
    }
}

fn tool_call(call: &Call) -> Value {
    json!({ "id": call.id, "function": { "name": call.name, "arguments": call.arguments } })
}

/// One JSON object a line.
struct Lines(Endpoint);

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

impl Writer for Lines {
    const CONTENT_TYPE: &'static str = "application/x-ndjson";

    fn piece(&mut self, talk: &Talk, piece: Piece) -> Bytes {
        line(&match piece {
            Piece::Text(text) => self.0.answer(talk, &text, &[], false),
            Piece::Call(call) => self.0.answer(talk, "", &[call], false),
        })
    }

    fn end(&mut self, talk: &Talk) -> Vec<Bytes> {
        vec![line(&self.0.last(talk, "", &[]))]
    }

    fn error(&mut self, message: &str) -> Bytes {
        line(&json!({ "error": message }))
    }
}
