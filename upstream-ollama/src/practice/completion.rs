//! `POST /v1/completions`.

use super::{
    answer::Piece,
    behaviour::UsageStyle,
    context::{Prompt, Wanted},
    exchange::Exchange,
    openai::Usage,
    question::{self, Form, Question, Refused},
    talk::Whole,
    text::{self, Asked, Endpoint, StreamOptions},
};
use axum::{Extension, response::Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of OpenAI's forms of a prompt Ollama takes the string only.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    #[serde(default)]
    prompt: String,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    seed: Option<i64>,
}

pub(super) async fn completion(Extension(exchange): Extension<Arc<Exchange>>, body: Bytes) -> Response {
    text::respond::<PlainText>(exchange, read(&body)).await
}

fn read(body: &[u8]) -> Result<Asked, Refused> {
    let Body { model, prompt, stream, stream_options, max_tokens, seed } = question::parse(body)?;
    let prompt = Prompt::of(prompt);
    let (seed, context) = (seed.unwrap_or(0), Wanted::default());
    let question = Question { model, prompt, context, seed, max_tokens, form: Form::Text };
    Ok(Asked { question, stream: stream.unwrap_or(false), include_usage: text::asks_usage(stream_options) })
}

struct PlainText;

#[derive(Serialize)]
struct Choice {
    text: String,
    index: u32,
    finish_reason: Option<&'static str>,
}

impl Endpoint for PlainText {
    type Choice = Choice;
    type ChunkChoice = Choice;
    const ID: &'static str = "cmpl";
    const OBJECT: &'static str = "text_completion";
    const CHUNK_OBJECT: &'static str = "text_completion";

    fn choice(whole: Whole, finish: &'static str) -> Choice {
        Choice { text: whole.text, index: 0, finish_reason: Some(finish) }
    }

    /// Nobody offers tools here, so a piece is always a text.
    fn chunk_choice(piece: Option<Piece>, finish_reason: Option<&'static str>) -> Choice {
        let text = if let Some(Piece::Text(text)) = piece { text } else { String::new() };
        Choice { text, index: 0, finish_reason }
    }

    fn usage_of_chunk(style: UsageStyle) -> Option<Option<Usage>> {
        match style {
            // A quirk of Ollama's, of this endpoint alone: every chunk has a usage, of zeros.
            UsageStyle::Ollama => Some(Some(Usage::default())),
            UsageStyle::NullsLikeOpenAi => Some(None),
            UsageStyle::Omitted => None,
        }
    }
}
