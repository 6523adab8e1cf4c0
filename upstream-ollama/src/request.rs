//! A request's body: the few fields that we read, and the few changes that we make.
//!
//! The body is validated as JSON in one pass and never written anew: what we do not know, and even
//! what we know and leave, reaches the engine byte for byte (a 0.2 stays 0.2).

mod bad_body;
mod change;
mod key;
mod metadata;
mod read;
#[cfg(test)]
mod tests;

pub use bad_body::BadBody;
pub use metadata::without_metadata;

use crate::members::{Member, Span};
use bytes::Bytes;
use protocol::ModelName;

/// The few top-level fields that we read from a request's body, with where they stand, so that
/// changes are made in place.
#[derive(Clone, Debug)]
pub struct RequestView {
    pub model: ModelName,
    /// Whether the tool wants a stream.
    pub stream: bool,
    /// Whether the tool itself asked for the usage of a stream.
    pub include_usage: bool,
    /// The most tokens that the tool wants back: the smaller of `max_tokens` and
    /// `max_completion_tokens`.
    pub max_output: Option<u64>,
    /// How many answers it wants.
    pub n: Option<u64>,
    layout: Layout,
}

/// Where the fields stand.
#[derive(Clone, Debug)]
struct Layout {
    body_len: usize,
    /// Of the brace that ends the body's object.
    end: usize,
    model: Span,
    stream_options: StreamOptions,
    max_tokens: Option<Limit>,
    max_completion_tokens: Option<Limit>,
    messages: Option<Span>,
}

/// A limit on the output, and its value unless it is null.
#[derive(Clone, Copy, Debug)]
struct Limit {
    member: Member,
    value: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum StreamOptions {
    Absent,
    Null(Span),
    Object {
        /// Right after the opening brace.
        inside: usize,
        empty: bool,
        include_usage: Option<Span>,
    },
}

/// What is to be different in the body that the engine gets. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ask for this model.
    pub model: Option<ModelName>,
    /// Ask for the usage of a stream. A request for a whole answer is left alone.
    pub ask_usage: bool,
    /// Say `max_tokens` where the tool says `max_completion_tokens`: Ollama ignores the newer name,
    /// and the limit would be lost.
    pub max_tokens_name: bool,
    /// The most tokens that the engine may make: a higher limit is lowered under whichever name it
    /// stands, and `max_tokens` is set where there is none. At least 1, and a 0 of the tool becomes 1:
    /// to Ollama 0 means no limit.
    pub max_tokens_cap: Option<u64>,
    /// Give messages of the role `developer` the role `system`, for templates that know only that.
    pub developer_as_system: bool,
}

impl RequestView {
    /// Reads and validates a body.
    pub fn read(body: &[u8]) -> Result<RequestView, BadBody> {
        read::read(body)
    }

    /// The body with the changes made. `body` is the one that was read. What needs no change is the
    /// same [`Bytes`], not a copy.
    pub fn apply(&self, body: &Bytes, changes: &Changes) -> Bytes {
        change::apply(self, body, changes)
    }
}
