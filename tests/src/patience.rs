//! Waiting for a condition, with a deadline that only a broken product reaches.

use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Generous: the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(LOOK_EVERY).await;
    }
}

/// Awaits something that must not take forever.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting after {} s: {what}", PATIENCE.as_secs()),
    }
}
