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

/// What a lease costs, as far as is known when it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// As the receipt has it; at most what was reserved.
    Charged(Credits),
    /// Its worker was not heard: up to what was reserved, until [`super::Tasks::heard`].
    Unheard,
}

impl Default for Cost {
    fn default() -> Self {
        Self::Charged(Credits::ZERO)
    }
}

impl Cost {
    /// What is known of it.
    pub(crate) fn charged(self) -> Credits {
        match self {
            Cost::Charged(credits) => credits,
            Cost::Unheard => Credits::ZERO,
        }
    }
}

/// What a lease cost, whatever came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// What is owed.
    pub cost: Cost,
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
