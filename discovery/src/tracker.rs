//! The tracker: a list of announcements over plain HTTP, for where WebSockets are blocked (SPEC
//! section 5).
//!
//! Here are the client, the shapes that both sides write (`wire`), and what protects a server from
//! its visitors (`rate_limit`). The server's routes are the gateway's, over the roster.

mod client;
pub(crate) mod http;
mod rate_limit;
pub mod wire;

pub use client::{Client, Listed, PEERS_BYTES_MAX, PEERS_MAX, TrackerError};
pub use rate_limit::{RateLimit, RetryAfter, SOURCES_MAX};
