//! The one place that reads the wall clock.

use protocol::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
