//! Waiting for a condition, with a deadline that only a broken product reaches.

use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Generous: the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether runs of minutes are wanted: `LOBSTAH_TEST_ALL=1`. Without it a story is told in short.
pub fn all_of_it() -> bool {
    std::env::var_os("LOBSTAH_TEST_ALL").is_some_and(|all| all == "1")
}

/// Looks until `look` finds something.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, LOOK_EVERY, what, look).await
}

/// For what the product itself takes its time with, or what costs something to look at.
pub async fn eventually_within<T>(
    patience: Duration,
    look_every: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(look_every).await;
    }
}

/// Awaits something that must not take forever.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting after {} s: {what}", PATIENCE.as_secs()),
    }
}
