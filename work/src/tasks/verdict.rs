//! What a worker made of a task.

use crate::json_line::JsonLine;
use protocol::{Credits, Timestamp};

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Good from 200 to 299; any other ends the task as failed.
    pub status: u16,
    /// `x-request-id`.
    pub request_id: String,
    /// The answer itself.
    pub body: JsonLine,
}

/// Tokens that an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Of the prompt.
    pub input: u64,
    /// Those of them that the worker had in its cache.
    pub cached: u64,
    /// Of the answer.
    pub output: u64,
    /// Those of them that are reasoning.
    pub reasoning: u64,
}

/// What a lease cost, whatever came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// As the receipt has it; at most what was reserved.
    pub credits: Credits,
    /// As the engine counted.
    pub usage: TokenUsage,
}

/// What came of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An answer, good or bad, that no other worker would give otherwise.
    Answered(Response),
    /// No answer; another worker may have one.
    Retry {
        /// When to try again; see [`crate::backoff`].
        not_before: Timestamp,
        /// What went wrong, for the owner.
        error: String,
    },
    /// No answer, and none is to be expected.
    Failed {
        /// In code: `model_not_found`.
        code: String,
        /// In words.
        message: String,
    },
    /// We cancelled it at the worker.
    Cut,
}
