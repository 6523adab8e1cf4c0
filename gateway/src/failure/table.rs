//! The single table from what went wrong to an HTTP status, OpenAI's names for it, and whether the SDKs may try again.

use super::Failure;
use crate::too_long;

/// A row of the table.
pub(super) struct Row {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    pub(super) retry: Retry,
}

/// What the SDKs are told about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// The same request would fail the same way.
    Never,
    /// The SDK's own rules.
    Unsaid,
    /// In this many seconds.
    After(u64),
}

/// Sent with "nobody is up": the time in which a probe finds an upstream that came back.
const COME_BACK: Retry = Retry::After(5);

impl Failure {
    pub(super) fn row(&self) -> Row {
        let row = |status, kind, code, retry| Row { status, kind, code, retry };
        let invalid = |status, code, retry| row(status, "invalid_request_error", code, retry);
        let refused = |status, code| invalid(status, code, Retry::Never);
        let limited = |code, retry| row(429, "rate_limit_error", code, retry);
        let server = |status, code, retry| row(status, "server_error", code, retry);
        match self {
            Failure::BadRequest { code, .. } => refused(400, code),
            Failure::ContextLengthExceeded { .. } => refused(400, too_long::CODE),
            Failure::InvalidApiKey => refused(401, "invalid_api_key"),
            Failure::InvalidAuth { .. } => refused(401, "invalid_auth"),
            Failure::InsufficientCredit { .. } => refused(402, "insufficient_credit"),
            Failure::AckRequired { .. } => refused(402, "ack_required"),
            Failure::HostNotAllowed { .. } => refused(403, "host_not_allowed"),
            Failure::OriginNotAllowed { .. } => refused(403, "origin_not_allowed"),
            Failure::OrderRefused { .. } => refused(403, "order_refused"),
            Failure::ModelNotFound { .. } => refused(404, "model_not_found"),
            Failure::NotFound { .. } => refused(404, "not_found"),
            Failure::MethodNotAllowed { .. } => refused(405, "method_not_allowed"),
            Failure::RequestTimeout => invalid(408, "request_timeout", Retry::Unsaid),
            Failure::OrderUsed => refused(409, "order_already_used"),
            Failure::QuoteChanged { .. } => refused(409, "quote_changed"),
            Failure::NotReady => invalid(409, "not_ready", COME_BACK),
            Failure::CannotShare { .. } => refused(409, "cannot_share"),
            Failure::NotCancellable { .. } => refused(409, "not_cancellable"),
            Failure::TooLarge { .. } | Failure::FileTooLarge { .. } => refused(413, "request_too_large"),
            Failure::UnsupportedMediaType { .. } => refused(415, "unsupported_media_type"),
            Failure::RangeNotSatisfiable { .. } => refused(416, "range_not_satisfiable"),
            Failure::Full { .. } => limited("too_many_requests", COME_BACK),
            Failure::TooMany { retry_after } => {
                limited("too_many_requests", Retry::After(retry_after.as_secs() + 1))
            }
            Failure::Busy { retry_after } => {
                limited("worker_busy", Retry::After(retry_after.as_secs().max(1)))
            }
            // Asking again would be in vain.
            Failure::NoRoom { .. } => server(500, "internal_error", Retry::Never),
            Failure::Internal { .. } => server(500, "internal_error", Retry::Unsaid),
            Failure::AllUpstreamsFailed { .. } => server(502, "all_upstreams_failed", Retry::Unsaid),
            Failure::UpstreamLost { .. } => server(502, "upstream_lost", Retry::Unsaid),
            Failure::NoUpstream { .. } | Failure::Draining => server(503, "no_upstream", COME_BACK),
            Failure::UpstreamTimeout { .. } => server(504, "upstream_timeout", Retry::Unsaid),
        }
    }
}
