//! What the two endpoints that make text have in common: `/v1/chat/completions` and `/v1/completions`.

use super::{
    answer::Piece,
    behaviour::UsageStyle,
    exchange::Exchange,
    openai::{self, Completion, Usage},
    question::{Question, Refused},
    stream::{self, Writer},
    talk::{Talk, Turn, Whole},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::{marker::PhantomData, sync::Arc};

/// How they differ.
pub(super) trait Endpoint: Send + 'static {
    type Choice: Serialize;
    type ChunkChoice: Serialize;
    /// What its ids begin with.
    const ID: &'static str;
    const OBJECT: &'static str;
    const CHUNK_OBJECT: &'static str;

    fn choice(whole: Whole, finish: &'static str) -> Self::Choice;

    /// Without a piece it is the end.
    fn chunk_choice(piece: Option<Piece>, finish: Option<&'static str>) -> Self::ChunkChoice;

    /// The usage in a chunk that tells none, where usage was asked for; the inner None is null.
    fn usage_of_chunk(style: UsageStyle) -> Option<Option<Usage>>;
}

/// What a body asks.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
}

pub(super) fn asks_usage(options: Option<StreamOptions>) -> bool {
    options.and_then(|options| options.include_usage).unwrap_or(false)
}

pub(super) async fn respond<E: Endpoint>(exchange: Arc<Exchange>, asked: Result<Asked, Refused>) -> Response {
    let Asked { question, stream, include_usage } = match asked {
        Ok(asked) => asked,
        Err(why) => return openai::refusal(StatusCode::BAD_REQUEST, &why),
    };
    let mut talk = match Talk::begin(exchange, &question) {
        Ok(talk) => talk,
        Err(unable) => {
            let (status, message) = openai::words_for(&unable);
            return openai::refusal(status, &message);
        }
    };
    let id = format!("{}-{}", E::ID, talk.answer.number);
    if stream {
        return stream::streamed(talk, Chunks::<E> { id, include_usage, endpoint: PhantomData });
    }
    match talk.whole().await {
        Ok(whole) => Json(answer::<E>(&id, &talk, whole)).into_response(),
        Err(Turn::Cut) => stream::broken_off(),
        Err(_) => openai::refusal(StatusCode::INTERNAL_SERVER_ERROR, openai::ON_DEMAND),
    }
}

fn answer<'a, E: Endpoint>(id: &'a str, talk: &'a Talk, whole: Whole) -> Completion<'a, E::Choice> {
    let choices = vec![E::choice(whole, talk.answer.finish)];
    let usage = (talk.usage != UsageStyle::Omitted).then(|| Some(Usage::of(talk)));
    Completion { usage, ..openai::completion(id, E::OBJECT, &talk.model, choices) }
}

struct Chunks<E> {
    id: String,
    include_usage: bool,
    endpoint: PhantomData<E>,
}

impl<E: Endpoint> Chunks<E> {
    fn chunk(&self, talk: &Talk, piece: Option<Piece>, finish: Option<&'static str>) -> Bytes {
        let usage = if self.include_usage { E::usage_of_chunk(talk.usage) } else { None };
        self.event(talk, vec![E::chunk_choice(piece, finish)], usage)
    }

    fn event(&self, talk: &Talk, choices: Vec<E::ChunkChoice>, usage: Option<Option<Usage>>) -> Bytes {
        let chunk = openai::completion(&self.id, E::CHUNK_OBJECT, &talk.model, choices);
        event(&openai::json(&Completion { usage, ..chunk }))
    }
}

impl<E: Endpoint> Writer for Chunks<E> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn piece(&mut self, talk: &Talk, piece: Piece) -> Bytes {
        self.chunk(talk, Some(piece), None)
    }

    fn end(&mut self, talk: &Talk) -> Vec<Bytes> {
        let mut parts = vec![self.chunk(talk, None, Some(talk.answer.finish))];
        if self.include_usage && talk.usage != UsageStyle::Omitted {
            parts.push(self.event(talk, Vec::new(), Some(Some(Usage::of(talk)))));
        }
        parts.push(event(b"[DONE]"));
        parts
    }

    fn error(&mut self, message: &str) -> Bytes {
        event(&openai::error_json(StatusCode::INTERNAL_SERVER_ERROR, message))
    }
}

/// One SSE event.
fn event(data: &[u8]) -> Bytes {
    [b"data: ", data, b"\n\n"].concat().into()
}
