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

/// A table in an announcement with more models (`tokensPerSecond`, `prices`) counts as absent.
pub const ANNOUNCED_TABLE_MAX: usize = ANNOUNCED_MODELS_MAX;

/// The content of a Nostr event longer than this is refused unread.
pub const EVENT_CONTENT_BYTES_MAX: usize = 16 * 1024;

/// Tags of a Nostr event with more text than this, all together, are refused unread.
pub const EVENT_TAG_BYTES_MAX: usize = 16 * 1024;

/// A longer label in an announcement is refused.
pub const LABEL_BYTES_MAX: usize = 256;

/// A longer URL in an announcement is refused.
pub const URL_BYTES_MAX: usize = 2048;

/// A time to live beyond a day counts as a day (SPEC section 5).
pub const TTL_SECONDS_MAX: u64 = 86_400;

/// How far another node's clock may run ahead of ours, and how old a receipt may be, in
/// milliseconds (SPEC sections 3 and 5). Inclusive.
pub const CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;

/// A longer `x-lobstah-order`, in its base64 form, is refused unread: whoever is ordered from keeps
/// the order for good, and fields that we do not know count. Ours have at most about 3 KiB.
pub const ORDER_HEADER_BYTES_MAX: usize = 4 * 1024;

/// An order that can be admitted for longer, in milliseconds, is refused (SPEC section 4).
pub const ORDER_LIFE_MS_MAX: u64 = 10 * 60 * 1000;

/// An order whose `answerBy` lies further behind its `createdAt`, in milliseconds, is refused.
pub const ANSWER_WITHIN_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// Tokens that may have been on their way when a stream was left or broke: what a worker makes until it sees
/// that. A receipt for more beyond the text that came is disputed.
pub const LOST_TOKENS_MAX: u64 = 1024;

/// Tokens that an engine may count and not show as text: the end of the answer, and the marks
/// between reasoning, calls and text. An answer with more of them is disputed.
pub const UNSEEN_TOKENS_MAX: u64 = 32;

/// Acknowledgements in one request; with more it is refused whole.
pub const ACKS_MAX: usize = 1000;

/// An acknowledgement whose JSON is longer is refused: it is kept for good, with its receipt.
pub const ACK_BYTES_MAX: usize = 2 * 1024;

/// A request with acknowledgements that is longer is refused unread.
pub const ACKS_BYTES_MAX: usize = ACKS_MAX * ACK_BYTES_MAX;

/// An acknowledgement with a longer reason is refused.
pub const REASON_BYTES_MAX: usize = 256;

/// How far the time in `x-lobstah-auth` may be from our clock, before or after, in milliseconds
/// (SPEC section 4). Inclusive.
pub const AUTH_SKEW_MS: u64 = 60 * 1000;

/// A longer `x-lobstah-auth` is refused unread; a right one has at most 214 bytes.
pub const AUTH_BYTES_MAX: usize = 256;
