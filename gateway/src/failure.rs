//! What a request can be refused or fail with, and OpenAI's error body for it (SPEC section 7).

mod message;
mod table;

use crate::too_long::{self, TooLong};
use protocol::{ModelName, Requester};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;
use table::Retry;

/// Everything that a request can be refused or fail with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A field of the request, or the body as a whole.
    BadRequest { code: &'static str, param: Option<String>, message: String },
    /// No key, or not one of ours.
    InvalidApiKey,
    /// A name that this gateway does not answer to.
    HostNotAllowed { host: String },
    /// A web page that may not talk to this gateway.
    OriginNotAllowed { origin: String },
    /// An order that does not hold for this request; `param` is what is wrong with it.
    OrderRefused { param: &'static str, message: String },
    /// An order is taken once, for good.
    OrderUsed,
    /// The worker charges more than was quoted, or would run another model of that name.
    QuoteChanged { message: String },
    /// The worker does not lend so much.
    InsufficientCredit { available: u64, requester: Requester, needed: u64 },
    /// The requester has to acknowledge what it got before it gets more.
    AckRequired { unacknowledged: u64, allowed: u64 },
    /// The word of the requester that a question needs is missing or bad.
    InvalidAuth { message: String },
    /// What is asked for is being made.
    NotReady,
    /// The worker cannot be started for others.
    CannotShare { message: String },
    /// Nobody known has the model.
    ModelNotFound { model: ModelName, near: Vec<String> },
    /// No such route or thing.
    NotFound { what: String },
    /// The route exists, the method does not.
    MethodNotAllowed { allow: &'static str },
    /// Nobody has enough context for the prompt.
    ContextLengthExceeded { param: &'static str, too_long: TooLong },
    /// The body did not come in time.
    RequestTimeout,
    /// The body is larger than the owner allows.
    TooLarge { max: u64 },
    /// The file is larger than the owner allows.
    FileTooLarge { max: u64 },
    /// None of the bytes that are asked for is in the file.
    RangeNotSatisfiable { bytes: u64 },
    /// What is over cannot be cancelled.
    NotCancellable { message: String },
    /// As much is kept or under way as one node takes; come back when some of it is over.
    Full { message: String },
    /// Nothing more is kept here until something is deleted.
    NoRoom { message: String },
    /// The body is not what the route takes.
    UnsupportedMediaType { expected: &'static str },
    /// Every place is taken; come back later.
    Busy { retry_after: Duration },
    /// One address asks too often.
    TooMany { retry_after: Duration },
    /// Every upstream that could serve was tried.
    AllUpstreamsFailed { attempts: Vec<Attempted> },
    /// Nobody who has the model is up.
    NoUpstream { message: String, attempts: Vec<Attempted> },
    /// No first byte in time, from any upstream.
    UpstreamTimeout { attempts: Vec<Attempted> },
    /// The answer broke off after it had begun.
    UpstreamLost { reason: String },
    /// The node is being stopped.
    Draining,
    /// The node cannot keep receipts now, or failed in another way of its own.
    Internal { message: String },
}

/// One upstream that was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempted {
    /// `local`, a node's key or an upstream's name.
    pub peer: String,
    /// In words.
    pub reason: String,
}

impl Failure {
    /// A known field with a value that cannot be.
    pub fn invalid_value(param: &str, message: impl Into<String>) -> Self {
        Failure::BadRequest { code: "invalid_value", param: Some(param.to_owned()), message: message.into() }
    }

    /// A prompt for this endpoint that fits nowhere.
    pub fn too_long(path: &str, too_long: TooLong) -> Self {
        let param = match path {
            "/v1/completions" => "prompt",
            "/v1/embeddings" => "input",
            _ => "messages",
        };
        Failure::ContextLengthExceeded { param, too_long }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.row().status
    }

    /// The stable, machine-readable name.
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// Headers that belong to this failure besides the content type.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        match self.row().retry {
            Retry::Never => headers.push(("x-should-retry", "false".to_owned())),
            Retry::After(seconds) => headers.push(("retry-after", seconds.to_string())),
            Retry::Unsaid => {}
        }
        match self {
            Failure::MethodNotAllowed { allow } => headers.push(("allow", (*allow).to_owned())),
            Failure::RangeNotSatisfiable { bytes } => {
                headers.push(("content-range", format!("bytes */{bytes}")));
            }
            _ => {}
        }
        headers
    }

    /// OpenAI's envelope.
    pub fn body(&self) -> Value {
        let row = self.row();
        let mut error = Map::new();
        error.insert("message".into(), json!(self.message()));
        error.insert("type".into(), json!(row.kind));
        error.insert("param".into(), json!(self.param()));
        error.insert("code".into(), json!(row.code));
        if let Failure::InsufficientCredit { available, requester, .. } = self {
            error.insert("availableTokens".into(), json!(available));
            error.insert("requesterPubkey".into(), json!(requester.to_string()));
        }
        if let Failure::ContextLengthExceeded { too_long: TooLong { context: Some(context), .. }, .. } = self
        {
            error.insert(too_long::CONTEXT.into(), json!(context));
        }
        if let Some(attempts) = self.attempts() {
            error.insert("attempts".into(), json!(attempts));
        }
        json!({ "error": error })
    }

    fn param(&self) -> Option<&str> {
        match self {
            Failure::BadRequest { param, .. } => param.as_deref(),
            Failure::ContextLengthExceeded { param, .. } | Failure::OrderRefused { param, .. } => Some(param),
            Failure::ModelNotFound { .. } => Some("model"),
            _ => None,
        }
    }

    fn attempts(&self) -> Option<&[Attempted]> {
        match self {
            Failure::AllUpstreamsFailed { attempts }
            | Failure::NoUpstream { attempts, .. }
            | Failure::UpstreamTimeout { attempts } => Some(attempts),
            _ => None,
        }
    }
}

impl From<upstream_ollama::BadBody> for Failure {
    fn from(bad: upstream_ollama::BadBody) -> Self {
        Failure::BadRequest {
            code: bad.code(),
            param: bad.param().map(str::to_owned),
            message: bad.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_failure() -> Vec<Failure> {
        let attempts = vec![Attempted { peer: "local".into(), reason: "connection refused".into() }];
        vec![
            Failure::invalid_value("n", "must be 1"),
            Failure::too_long("/v1/completions", TooLong::passed_over(1, 2)),
            Failure::InvalidApiKey,
            Failure::HostNotAllowed { host: "evil.example".into() },
            Failure::OriginNotAllowed { origin: "https://evil.example".into() },
            Failure::OrderRefused { param: "model", message: "for another model".into() },
            Failure::OrderUsed,
            Failure::QuoteChanged { message: "it costs more now".into() },
            Failure::InsufficientCredit { available: 1, requester: Requester::Anonymous, needed: 2 },
            Failure::AckRequired { unacknowledged: 1, allowed: 1 },
            Failure::InvalidAuth { message: "sign it".into() },
            Failure::NotReady,
            Failure::CannotShare { message: "the port is taken".into() },
            Failure::ModelNotFound { model: "llama".parse().unwrap(), near: vec!["llama3.1:8b".into()] },
            Failure::NotFound { what: "this".into() },
            Failure::MethodNotAllowed { allow: "GET" },
            Failure::RequestTimeout,
            Failure::TooLarge { max: 1 },
            Failure::FileTooLarge { max: 1 },
            Failure::RangeNotSatisfiable { bytes: 1 },
            Failure::NotCancellable { message: "it is over".into() },
            Failure::NoRoom { message: "delete some files".into() },
            Failure::Full { message: "wait for some to end".into() },
            Failure::UnsupportedMediaType { expected: "application/json" },
            Failure::Busy { retry_after: Duration::from_millis(10) },
            Failure::TooMany { retry_after: Duration::from_millis(10) },
            Failure::AllUpstreamsFailed { attempts: attempts.clone() },
            Failure::NoUpstream { message: "start it".into(), attempts: attempts.clone() },
            Failure::UpstreamTimeout { attempts },
            Failure::UpstreamLost { reason: "cut".into() },
            Failure::Draining,
            Failure::Internal { message: "the disk is full".into() },
        ]
    }

    #[test]
    fn every_error_has_the_four_members_that_openai_requires() {
        for failure in every_failure() {
            let body = failure.body();
            for member in ["message", "type", "param", "code"] {
                assert!(body["error"].get(member).is_some(), "{member} of {failure:?}");
            }
            assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 5));
        }
    }

    #[test]
    fn the_sdks_are_told_not_to_retry_what_cannot_be_mended_by_it() {
        for failure in every_failure() {
            let never = failure.headers().contains(&("x-should-retry", "false".to_owned()));
            let again = [408, 429].contains(&failure.status()) || failure == Failure::NotReady;
            let refused = (400..500).contains(&failure.status()) && !again;
            let in_vain = refused || matches!(failure, Failure::NoRoom { .. });
            assert_eq!(never, in_vain, "{failure:?}");
        }
    }

    #[test]
    fn retry_after_is_a_whole_second_at_least_and_small_enough_to_be_obeyed() {
        for failure in every_failure() {
            for (name, value) in failure.headers() {
                if name == "retry-after" {
                    assert!((1..=120).contains(&value.parse::<u64>().unwrap()));
                }
            }
        }
    }
}
