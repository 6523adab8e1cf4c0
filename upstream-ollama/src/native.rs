//! A request for `/v1`, put to Ollama's own API, and the answer put back.
//!
//! Through `/v1` nobody can say how much context a model is to run with, nor that a prompt which is too long be
//! refused and not cut; `/api/chat`, `/api/generate` and `/api/embed` take both. The mapping is the one by which
//! Ollama itself serves `/v1`, so a tool sees no difference. What Ollama would refuse there, or what came into its API
//! after this was written, is [`Untranslatable`].
//!
//! Values are carried over as they are written: a 0.2 stays 0.2.

mod answer;
mod chat;
mod embed;
mod generate;
mod lines;
mod options;

pub use lines::{BadLine, Lines};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

/// Why a request cannot be put to Ollama's own API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untranslatable(pub(crate) String);

impl From<serde_json::Error> for Untranslatable {
    fn from(error: serde_json::Error) -> Self {
        Untranslatable(error.to_string())
    }
}

/// An answer that is none of Ollama's.
#[derive(Debug, thiserror::Error)]
#[error("what the engine answered is not Ollama's: {0}")]
pub struct NotOllamas(#[from] serde_json::Error);

/// What distinguishes one answer from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What its id ends in.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
}

/// A request as Ollama's own API takes it.
#[derive(Clone, Debug)]
pub struct Question {
    pub path: &'static str,
    pub body: Bytes,
    /// How its answer is put back.
    pub back: Back,
}

/// From an answer of Ollama's own API to one of `/v1`.
#[derive(Clone, Debug)]
pub struct Back {
    form: Form,
    /// As it was asked for.
    model: String,
    stamp: Stamp,
    include_usage: bool,
    num_ctx: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Chat,
    Text,
    Vectors {
        base64: bool,
        /// The count of tokens is of so many texts together.
        inputs: usize,
    },
}

/// A whole answer, put back.
#[derive(Clone, Debug)]
pub struct Answered {
    pub body: Bytes,
    /// The engine read as many tokens as it has room for: it is one that cuts whatever it is told.
    pub was_cut: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// Puts a request for `path` to Ollama's own API, with so much context, nothing of it to be cut. The body is one that
/// [`crate::RequestView::read`] took.
pub fn translate(path: &str, body: &[u8], num_ctx: u64, stamp: Stamp) -> Result<Question, Untranslatable> {
    match path {
        "/v1/chat/completions" => chat::translate(body, num_ctx, stamp),
        "/v1/completions" => generate::translate(body, num_ctx, stamp),
        "/v1/embeddings" => embed::translate(body, num_ctx, stamp),
        other => Err(Untranslatable(format!("{other} is not known to Ollama's own API"))),
    }
}

impl Back {
    /// A whole answer of status 200.
    pub fn whole(&self, body: &[u8]) -> Result<Answered, NotOllamas> {
        match self.form {
            Form::Chat | Form::Text => answer::whole(self, body),
            Form::Vectors { .. } => embed::whole(self, body),
        }
    }

    /// A stream of status 200, to be put back as it comes.
    pub fn stream(&self) -> Lines {
        Lines::new(self.clone())
    }

    /// The context that was asked for.
    pub fn num_ctx(&self) -> u64 {
        self.num_ctx
    }

    fn was_cut(&self, prompt_tokens: u64) -> bool {
        let of_one = !matches!(self.form, Form::Vectors { inputs: 2.., .. });
        of_one && prompt_tokens >= self.num_ctx
    }
}

/// A refusal of Ollama's own API, as `/v1` words it.
pub fn refusal(status: u16, message: &str) -> Bytes {
    let kind = match status {
        400 => "invalid_request_error",
        404 => "not_found_error",
        _ => "api_error",
    };
    let error = json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
    error.to_string().into()
}

/// Whether an engine's words say that the prompt is longer than its context. Builds differ in status and wording.
pub fn says_too_long(message: &str) -> bool {
    message.contains("exceeds the context length") || message.contains("exceeds the available context size")
}
