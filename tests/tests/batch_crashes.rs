//! A crash of the gateway at any step of lease → order → job → answer → receipt: after the restart every line has
//! one answer, nothing runs twice that has one, and both books agree.
//!
//! The process ends itself at a named place (`work/src/step.rs`, `gateway/src/fail_point.rs`), which is as good as
//! `kill -9` there. Builds for users have no such places.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::{StreamExt, stream};
use stories::{
    batches::{A_WHILE, short_lines},
    engine::MODEL,
    fleet::{Worker, books_agree, gateway_of, orders_charged},
    json,
};

/// Before and after every step that leaves something on the disk or on the wire, in their order. The second time
/// it comes there, so that some of the batch is done.
const PLACES: [&str; 9] = [
    "task-leased",
    "task-leased-done",
    "order-placed",
    "order-sent",
    "lease-closed",
    "lease-closed-done",
    "receipt-received",
    "receipt-kept",
    "ack-sent",
];

/// Worlds at once: most of their time is waiting.
const AT_ONCE: usize = 5;

const LINES: usize = 24;

async fn a_crash_at(place: &str) {
    let worker = Worker::start().await;
    let doomed = gateway_of([&worker]).env("LOBSTAH_FAIL_AT", &format!("{place}:2"));
    let mut gateway = doomed.start().await;
    let lines = short_lines(MODEL, LINES);
    let id = gateway.begin_batch(&lines, json!({})).await;
    let status = gateway.ended().await;
    assert!(!status.success(), "{place}: {status}");
    let gateway = gateway.start_again_with(|setup| setup.without_env("LOBSTAH_FAIL_AT")).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    assert_eq!(worker.asked(), LINES as u64, "{place}: what has an answer does not run again");
    let owed = books_agree(&gateway, [&worker.node]).await;
    assert_eq!(owed, ended.tokens(), "{place}");
    assert_eq!(orders_charged(&gateway).await, LINES, "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_and_both_books_agree_after_a_crash_of_the_gateway_at_any_step() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: this build has no places to fail at");
        return;
    }
    stream::iter(PLACES).for_each_concurrent(AT_ONCE, a_crash_at).await;
}
