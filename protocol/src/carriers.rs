//! How signed statements travel over HTTP: base64 in headers and in SSE comments (SPEC section 3).

use crate::{
    Body, Order, Rejected, Signed,
    limits::{CARRIED_BYTES_MAX, ORDER_HEADER_BYTES_MAX},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Names the requester (version 1: unproven).
pub const REQUESTER_HEADER: &str = "x-lobstah-requester";
/// Carries the order of a request, or of a job that is submitted.
pub const ORDER_HEADER: &str = "x-lobstah-order";
/// Names the route of an engine that a job is for, where it is not `/v1/chat/completions`.
pub const ENDPOINT_HEADER: &str = "x-lobstah-endpoint";
/// Proves who reads or cancels a job, or collects a receipt; see [`crate::auth`].
pub const AUTH_HEADER: &str = "x-lobstah-auth";
/// Carries the receipt of an answer that is not streamed.
pub const RECEIPT_HEADER: &str = "x-lobstah-receipt";
/// Says who served, in the gateway's answer: a node's key, `local`, or an upstream's name.
pub const WORKER_HEADER: &str = "x-lobstah-worker";
/// Says how many upstreams were tried.
pub const ATTEMPTS_HEADER: &str = "x-lobstah-attempts";

/// The SSE comment that carries a receipt, up to its base64.
pub const RECEIPT_COMMENT: &[u8] = b":lobstah-receipt:";

/// The comment that keeps a connection alive while a stream waits for its first token.
pub const WAITING_COMMENT: &[u8] = b": waiting\n\n";

/// A statement as the value of a header.
pub fn to_header<T: Body>(statement: &Signed<T>) -> String {
    STANDARD.encode(statement.to_json())
}

/// A statement as an SSE comment, blank line included.
pub fn to_comment<T: Body>(statement: &Signed<T>) -> Vec<u8> {
    let mut comment = RECEIPT_COMMENT.to_vec();
    comment.extend_from_slice(to_header(statement).as_bytes());
    comment.extend_from_slice(b"\n\n");
    comment
}

/// Reads the base64 of a header or a comment. The signature is not checked yet.
pub fn from_base64<T: Body>(text: &[u8]) -> Result<Signed<T>, Rejected> {
    Signed::parse(&json(text, CARRIED_BYTES_MAX)?)
}

/// Reads the value of [`ORDER_HEADER`], of at most [`ORDER_HEADER_BYTES_MAX`] bytes. The signature is not
/// checked yet.
pub fn order_from_header(value: &[u8]) -> Result<Signed<Order>, Rejected> {
    Signed::parse(&json(value, ORDER_HEADER_BYTES_MAX)?)
}

fn json(base64: &[u8], bytes_max: usize) -> Result<Vec<u8>, Rejected> {
    if base64.len() > bytes_max {
        return Err(Rejected::malformed(format!("longer than {bytes_max} bytes")));
    }
    STANDARD.decode(base64.trim_ascii()).map_err(|_| Rejected::malformed("not base64"))
}
