//! What the engine is told to do wrong, and how fast it speaks.

use bytes::Bytes;
use std::time::Duration;

/// How requests for an answer are treated. The default is an engine in good health.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    pub trouble: Trouble,
    /// For how many requests the trouble lasts; None is until told otherwise.
    pub times: Option<u32>,
    /// Goes before what the builder set.
    pub pace: Option<Pace>,
    pub usage: UsageStyle,
    /// Exactly so many tokens in every text, in place of a few dozen.
    pub answer_tokens: Option<u64>,
}

impl Behaviour {
    /// This trouble until told otherwise, and all else as in good health.
    pub fn of(trouble: Trouble) -> Behaviour {
        Behaviour { trouble, ..Behaviour::default() }
    }

    /// The same for the next `times` requests only.
    pub fn times(self, times: u32) -> Behaviour {
        Behaviour { times: Some(times), ..self }
    }
}

/// What goes wrong. Tokens are counted from 1, and those before the trouble have been sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Answers with this status; the body is an error of Ollama's unless one is given.
    Fail { status: u16, body: Option<Bytes> },
    /// Answers 503 before the request's body was read, and closes the connection.
    RefuseBody,
    /// Says nothing at all until released.
    Hang,
    /// Falls silent after so many tokens, until released.
    HangAfter(u64),
    /// Closes the connection after so many tokens, in the middle of the answer.
    CutAfter(u64),
    /// Sends an error object in place of the next token, and ends.
    ErrorAfter(u64),
}

/// How fast an answer comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Before the first token.
    pub first_token: Duration,
    /// Before each further token.
    pub per_token: Duration,
}

/// How the usage of a stream is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageStyle {
    /// In an extra chunk at the end, if asked for.
    #[default]
    Ollama,
    /// The same, with `"usage":null` in every other chunk.
    NullsLikeOpenAi,
    /// Never, whole answers included.
    Omitted,
}
