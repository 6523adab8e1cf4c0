//! What came of one try at an upstream, and what each answer means for the next one.

use crate::{events::Events, tally::Tally, target::Connection, too_long::TooLong};
use bytes::Bytes;
use http::{HeaderName, header};
use pingora_http::ResponseHeader;
use protocol::Price;
use std::{fmt, time::Duration};

/// What came of a try.
pub enum Outcome {
    /// A stream whose first event is here.
    Stream(Box<OpenStream>),
    /// A whole answer of status 200 to 299.
    Whole(WholeAnswer),
    /// The upstream says that the request itself is wrong.
    Verdict(Refusal),
    /// Ask the next.
    Next(Reason),
}

/// A stream that has begun.
pub struct OpenStream {
    pub connection: Connection,
    pub events: Events,
    /// Whole events; the first of them is not a comment.
    pub first: Bytes,
    /// Of the comments that came before, where an order is to be compared with what came.
    pub tally: Option<Box<Tally>>,
}

/// A whole answer.
pub struct WholeAnswer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
    /// `x-lobstah-receipt`
    pub receipt: Option<String>,
}

/// A 4xx answer that is about the request.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// Why the next upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing listens there.
    Down(String),
    /// Nothing listens there any more. What was sent on a connection that was there before may have been taken.
    Gone(String),
    /// No first byte in time.
    TimedOut,
    /// It is busy, and said for how long.
    Busy(Duration),
    /// It lends us no more: so many credits are available there, as it says.
    NoCredit { available: Option<u64>, message: String },
    /// It charges more than was ordered, or runs another model under this name, as it says.
    QuoteChanged(String),
    /// It asks for more than its owner agrees to (`gateway.max_price`); nothing was sent.
    TooDear(Price),
    /// It has not enough context for the prompt; another may have.
    TooLong(TooLong),
    /// It answered with this status: 5xx, or a 4xx that is about itself.
    Status(u16, String),
    /// The connection or the answer broke.
    Broken(String),
}

impl Outcome {
    /// Whether no receipt will come for the order: it was refused, or never arrived. What went wrong in another
    /// way may have been taken, and is asked after.
    pub fn was_not_taken(&self) -> bool {
        match self {
            Outcome::Next(reason) => reason.is_refusal(),
            Outcome::Verdict(_) => true,
            Outcome::Stream(_) | Outcome::Whole(_) => false,
        }
    }
}

impl Reason {
    /// See [`Outcome::was_not_taken`].
    pub fn is_refusal(&self) -> bool {
        match self {
            Reason::NoCredit { .. }
            | Reason::QuoteChanged(_)
            | Reason::TooDear(_)
            | Reason::TooLong(_)
            | Reason::Busy(_)
            | Reason::Down(_) => true,
            // 409: taken before, and who knows what became of it. 5xx: a proxy's word counts for nothing.
            Reason::Status(status, _) => (400..500).contains(status) && *status != 409,
            Reason::Gone(_) | Reason::TimedOut | Reason::Broken(_) => false,
        }
    }

    /// Whether nothing listens there now.
    pub fn is_down(&self) -> bool {
        matches!(self, Reason::Down(_) | Reason::Gone(_))
    }

    /// Whether it is us whom the upstream will not have, and not this request: a key that counts no more, a clock
    /// that is off. It would say the same to the next.
    pub fn refuses_us(&self) -> bool {
        matches!(self, Reason::Status(401 | 403, _))
    }

    /// Whether the upstream itself is at fault, so that its breaker should know.
    pub fn is_a_failure(&self) -> bool {
        match self {
            Reason::Down(_) | Reason::Gone(_) | Reason::TimedOut | Reason::Broken(_) => true,
            Reason::Status(status, _) => *status >= 500,
            Reason::Busy(_)
            | Reason::NoCredit { .. }
            | Reason::QuoteChanged(_)
            | Reason::TooDear(_)
            | Reason::TooLong(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Down(why) | Reason::Gone(why) | Reason::Broken(why) => f.write_str(why),
            Reason::TimedOut => f.write_str("no first byte in time"),
            Reason::Busy(_) => f.write_str("busy"),
            Reason::NoCredit { message, .. } => write!(f, "status 402, no credit: {message}"),
            Reason::QuoteChanged(message) => write!(f, "status 409, its offer changed: {message}"),
            Reason::TooDear(price) => write!(
                f,
                "it asks for {} and {} credits per 1000 tokens, which is above gateway.max_price",
                price.input, price.output
            ),
            Reason::TooLong(too_long) => too_long.fmt(f),
            Reason::Status(status, message) if message.is_empty() => write!(f, "status {status}"),
            Reason::Status(status, message) => write!(f, "status {status}: {message}"),
        }
    }
}

/// The message of an event that is nothing but an error.
pub fn error_message(data: &[u8]) -> Option<String> {
    if !data.trim_ascii_start().starts_with(b"{\"error\"") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(data).ok()?;
    let error = value.get("error")?;
    let message = error.get("message").unwrap_or(error);
    Some(message.as_str().map_or_else(|| message.to_string(), str::to_owned))
}

/// What an answer outside of 200 to 299 means.
pub fn refused(status: u16, content_type: String, response: &ResponseHeader, body: Bytes) -> Outcome {
    match status {
        // It waits for our word on what we got, which is on its way.
        402 if code(&body).as_deref() == Some("ack_required") => {
            Outcome::Next(Reason::Busy(retry_after(response)))
        }
        402 => Outcome::Next(Reason::NoCredit {
            available: available(&body),
            message: brief(&error_message(&body).unwrap_or_default()),
        }),
        // These two are about the order, which is ours, and not about the request.
        409 if code(&body).as_deref() == Some("quote_changed") => {
            Outcome::Next(Reason::QuoteChanged(brief(&error_message(&body).unwrap_or_default())))
        }
        409 if code(&body).as_deref() == Some("order_already_used") => {
            Outcome::Next(Reason::Status(status, brief(&error_message(&body).unwrap_or_default())))
        }
        400 | 413 if let Some(too_long) = TooLong::said(&body) => Outcome::Next(Reason::TooLong(too_long)),
        400 | 409 | 413 | 415 | 422 => Outcome::Verdict(Refusal { status, content_type, body }),
        429 => Outcome::Next(Reason::Busy(retry_after(response))),
        300..400 => Outcome::Next(Reason::Status(status, "it redirects, which is not followed".into())),
        _ => Outcome::Next(Reason::Status(status, brief(&error_message(&body).unwrap_or_default()))),
    }
}

fn error_object(body: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("error").cloned()
}

fn code(body: &[u8]) -> Option<String> {
    error_object(body)?.get("code")?.as_str().map(str::to_owned)
}

/// `availableTokens` of a 402.
fn available(body: &[u8]) -> Option<u64> {
    error_object(body)?.get("availableTokens")?.as_u64()
}

/// What an upstream says, cut to a length that suits a list, and without what a terminal obeys.
pub fn brief(message: &str) -> String {
    const CHARS: usize = 200;
    message.chars().filter(|c| !c.is_control()).take(CHARS).collect()
}

/// How long a busy upstream wants to be left alone; a second if it does not say, or says 0: asking
/// again at once would be a loop.
fn retry_after(response: &ResponseHeader) -> Duration {
    let seconds: u64 = text(response, header::RETRY_AFTER).parse().unwrap_or(1);
    Duration::from_secs(seconds.max(1))
}

/// A header's value, empty if there is none or it is no text.
pub fn text(response: &ResponseHeader, name: HeaderName) -> String {
    response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_forgotten_only_where_its_worker_has_surely_not_taken_it() {
        let status = |status| Reason::Status(status, String::new());
        let refused = [
            Reason::Down("connection refused".into()),
            Reason::Busy(Duration::ZERO),
            Reason::NoCredit { available: None, message: String::new() },
            status(403),
            status(404),
        ];
        let perhaps_taken = [
            Reason::TimedOut,
            Reason::Gone("connection refused".into()),
            Reason::Broken("reset".into()),
            status(409),
            status(500),
            status(502),
            status(302),
        ];
        assert!(refused.into_iter().all(|reason| Outcome::Next(reason).was_not_taken()));
        assert!(!perhaps_taken.into_iter().any(|reason| Outcome::Next(reason).was_not_taken()));
    }
}
