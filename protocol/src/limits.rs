//! Every maximum on the wire, each with the consequence of reaching it.

/// Largest integer that every JSON implementation keeps exact (2^53 - 1). A token count or a time
/// beyond it makes the statement malformed.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A signed statement longer than this, as JSON, is refused unread.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// The same for one that travels in a header or an SSE comment, in its base64 form.
pub const CARRIED_BYTES_MAX: usize = STATEMENT_BYTES_MAX / 3 * 4 + 4;

/// A longer model name is refused wherever one is read.
pub const MODEL_NAME_BYTES_MAX: usize = 256;

/// An announcement that lists more models is refused.
pub const ANNOUNCED_MODELS_MAX: usize = 512;

/// A longer label in an announcement is refused.
pub const LABEL_BYTES_MAX: usize = 256;

/// A longer URL in an announcement is refused.
pub const URL_BYTES_MAX: usize = 2048;

/// A time to live beyond a day counts as a day (SPEC section 5).
pub const TTL_SECONDS_MAX: u64 = 86_400;

/// How far another node's clock may run ahead of ours, and how old a receipt may be, in
/// milliseconds (SPEC sections 3 and 5). Inclusive.
pub const CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;
