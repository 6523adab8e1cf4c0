//! `POST /v1/chat/completions`.

use super::{
    answer::Piece,
    behaviour::UsageStyle,
    context::Wanted,
    exchange::Exchange,
    openai::{self, ToolCall, Usage},
    question::{self, Form, Message, Question, Refused},
    talk::Whole,
    text::{self, Asked, Endpoint, StreamOptions},
};
use axum::{Extension, response::Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The fields that Ollama reads. `max_completion_tokens` is none of them.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    seed: Option<i64>,
    #[serde(default)]
    response_format: Value,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Value,
}

pub(super) async fn chat(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    text::respond::<Chat>(exchange, read(&body)).await
}

fn read(body: &[u8]) -> Result<Asked, Refused> {
    let body: Body = question::parse(body)?;
    if body.messages.is_empty() {
        return Err("[] is too short - 'messages'".to_owned());
    }
    let call = question::call(&body.messages, body.tools.as_deref().unwrap_or_default(), &body.tool_choice);
    let question = Question {
        model: body.model,
        prompt: question::prompt(&body.messages)?,
        context: Wanted::default(),
        seed: body.seed.unwrap_or(0),
        max_tokens: body.max_tokens,
        form: call.unwrap_or_else(|| form(&body.response_format)),
    };
    let include_usage = text::asks_usage(body.stream_options);
    Ok(Asked { question, stream: body.stream.unwrap_or(false), include_usage })
}

fn form(response_format: &Value) -> Form {
    match response_format["type"].as_str() {
        Some("json_object") => Form::Json,
        Some("json_schema") => Form::Schema(response_format["json_schema"]["schema"].clone()),
        _ => Form::Text,
    }
}

struct Chat;

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: Said,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: u32,
    delta: Said,
    finish_reason: Option<&'static str>,
}

/// A message, or a part of one. Ollama names the role in every part.
#[derive(Serialize)]
struct Said {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

impl Endpoint for Chat {
    type Choice = Choice;
    type ChunkChoice = ChunkChoice;
    const ID: &'static str = "chatcmpl";
    const OBJECT: &'static str = "chat.completion";
    const CHUNK_OBJECT: &'static str = "chat.completion.chunk";

    fn choice(whole: Whole, finish_reason: &'static str) -> Choice {
        let tool_calls = openai::tool_calls(whole.calls);
        Choice {
            index: 0,
            message: Said { role: "assistant", content: whole.text, tool_calls },
            finish_reason,
        }
    }

    fn chunk_choice(piece: Option<Piece>, finish_reason: Option<&'static str>) -> ChunkChoice {
        let (content, calls) = match piece {
            None => (String::new(), Vec::new()),
            Some(Piece::Text(text)) => (text, Vec::new()),
            Some(Piece::Call(call)) => (String::new(), vec![call]),
        };
        let delta = Said { role: "assistant", content, tool_calls: openai::tool_calls(calls) };
        ChunkChoice { index: 0, delta, finish_reason }
    }

    fn usage_of_chunk(style: UsageStyle) -> Option<Option<Usage>> {
        (style == UsageStyle::NullsLikeOpenAi).then_some(None)
    }
}
