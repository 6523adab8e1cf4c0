//! What an error says to who reads it: what is wrong, and what to do next.

use super::{Attempted, Failure};
use protocol::ModelName;

impl Failure {
    /// For people; [`Failure::code`] is for programs.
    pub fn message(&self) -> String {
        match self {
            Failure::BadRequest { message, .. }
            | Failure::OrderRefused { message, .. }
            | Failure::QuoteChanged { message }
            | Failure::InvalidAuth { message }
            | Failure::CannotShare { message }
            | Failure::NotCancellable { message }
            | Failure::Full { message }
            | Failure::NoRoom { message }
            | Failure::NoUpstream { message, .. }
            | Failure::Internal { message } => message.clone(),
            Failure::ContextLengthExceeded { too_long, .. } => too_long.to_string(),
            Failure::InvalidApiKey => {
                "send `Authorization: Bearer <key>` with one of the keys in gateway.api_keys".into()
            }
            Failure::HostNotAllowed { host } => format!(
                "this gateway does not answer to the host name `{host}`; if it should, add it to gateway.hosts"
            ),
            Failure::OriginNotAllowed { origin } => format!(
                "web pages from `{origin}` may not use this gateway; to allow them, add it to gateway.cors_origins"
            ),
            Failure::OrderUsed => "this order was taken before; sign a new one".into(),
            Failure::InsufficientCredit { available, needed, .. } => insufficient(*available, *needed),
            Failure::AckRequired { unacknowledged, allowed } => format!(
                "{unacknowledged} of your orders run or wait for your acknowledgement, and {allowed} may; acknowledge receipts at POST /v1/receipts/ack"
            ),
            Failure::NotReady => "this order is still being served; ask again later".into(),
            Failure::ModelNotFound { model, near } => model_not_found(model, near),
            Failure::NotFound { what } => format!("{what} does not exist here"),
            Failure::MethodNotAllowed { allow } => format!("this route takes {allow}"),
            Failure::RequestTimeout => "the request's body did not arrive in time".into(),
            Failure::TooLarge { max } => {
                format!("the request's body is larger than {max} bytes; raise gateway.max_body to allow it")
            }
            Failure::FileTooLarge { max } => {
                format!(
                    "the file is larger than {max} bytes; split it, or raise `max` in [files] to allow it"
                )
            }
            Failure::RangeNotSatisfiable { bytes } => {
                format!("the file has {bytes} bytes, ask for some of those")
            }
            Failure::UnsupportedMediaType { expected } => {
                format!("send this with `Content-Type: {expected}`")
            }
            Failure::Busy { .. } => {
                "every place is taken; try again later, or raise the concurrency or queue where there is room"
                    .into()
            }
            Failure::TooMany { .. } => "too many requests from this address; ask less often".into(),
            Failure::AllUpstreamsFailed { attempts } => {
                format!("every upstream that could serve this failed: {}", summary(attempts))
            }
            Failure::UpstreamTimeout { attempts } => format!(
                "no first byte in time: {}; a model that loads slowly needs a longer first_byte_timeout in its route",
                summary(attempts)
            ),
            Failure::UpstreamLost { reason } => {
                format!("the answer broke off: {reason}; what came so far is incomplete, ask again")
            }
            Failure::Draining => "this node is being stopped and takes no new requests".into(),
        }
    }
}

fn model_not_found(model: &ModelName, near: &[String]) -> String {
    let near = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let hint = if near.is_empty() {
        "GET /v1/models lists the models that can be reached; `ollama pull` gets more".to_owned()
    } else {
        format!("did you mean {near}?")
    };
    format!("no upstream that is known has the model `{model}`; {hint}")
}

fn insufficient(available: u64, needed: u64) -> String {
    format!(
        "this may cost up to {needed} credits and {available} are available to you at this worker; ask for fewer tokens (max_tokens), work for it, or ask its owner for a credit line"
    )
}

fn summary(attempts: &[Attempted]) -> String {
    attempts.iter().map(|one| format!("{}: {}", one.peer, one.reason)).collect::<Vec<_>>().join("; ")
}
