//! A batch that is ended before its time, from each state that it can be in, and one whose time is over. In
//! `finalizing` it is told in `batch_disk.rs`, where that takes long enough to see.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::HashSet, time::Duration};
use stories::{
    Answer, Node, Value, all_of_it,
    batches::{A_WHILE, short_lines},
    engine::{self, Behaviour, MODEL, Trouble, counts, pace},
    fleet::{Worker, books_agree, gateway_of, workers},
    json,
};

async fn cancel(node: &Node, id: &str) -> Answer {
    Answer::of(node.post(&format!("/v1/batches/{id}/cancel"), "")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_cancelled_from_any_state_but_those_after_its_end() {
    let engine = engine::engine();
    engine.handle.set(Behaviour::of(Trouble::Hang));
    let gateway = Node::gateway().ollama(&engine).start().await;
    // So many that reading them takes longer than the next request.
    let long = gateway.begin_batch(&short_lines(MODEL, 50_000), json!({})).await;
    let cancelled = cancel(&gateway, &long).await.json();
    assert_eq!(cancelled["status"], "cancelled", "nothing of it ran: {cancelled}");
    assert_eq!(cancelled["in_progress_at"], Value::Null, "{cancelled}");
    assert_eq!(cancelled["request_counts"]["completed"], 0);

    let runs = gateway.begin_batch(&short_lines(MODEL, 20), json!({})).await;
    counts(&engine, "a line", |counts| counts.in_flight > 0).await;
    let cancelling = cancel(&gateway, &runs).await.json();
    assert!(["cancelling", "cancelled"].contains(&cancelling["status"].as_str().unwrap()), "{cancelling}");
    let ended = gateway.batch_ended(&runs, A_WHILE).await;
    assert_eq!((ended.status(), ended.errors.len()), ("cancelled", 20));
    counts(&engine, "no line any more", |counts| counts.in_flight == 0).await;
    assert_eq!(cancel(&gateway, &runs).await.json()["status"], "cancelled", "twice is once");

    engine.handle.set(Behaviour::default());
    let done = gateway.begin_batch(&short_lines(MODEL, 2), json!({})).await;
    gateway.batch_ended(&done, A_WHILE).await.assert_answered(2);
    cancel(&gateway, &done).await.error(409, "not_cancellable");
    let failed = gateway.begin_batch("no JSON\n", json!({})).await;
    assert_eq!(gateway.batch_ended(&failed, A_WHILE).await.status(), "failed");
    cancel(&gateway, &failed).await.error(409, "not_cancellable");
    assert_eq!(gateway.batch(&long).await["status"], "cancelled", "and it stays so");
}

/// The shortest window is a minute.
#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_over_a_batch_keeps_what_is_answered_and_each_other_line_has_an_error() {
    const LINES: usize = 200;
    const EXPIRES_WITHIN: Duration = Duration::from_secs(150);
    if !all_of_it() {
        eprintln!("SKIPPED: takes a minute; set LOBSTAH_TEST_ALL=1");
        return;
    }
    let [worker]: [Worker; 1] = workers().await;
    worker.engine.handle.set(pace(1, Duration::from_secs(5)));
    let gateway = gateway_of([&worker]).start().await;
    let file = gateway.upload("batch", "in.jsonl", short_lines(MODEL, LINES).as_bytes()).await;
    let begun = gateway.post_batch(&file["id"], &json!({"completion_window": "1m"}));
    let batch = Answer::of(begun).await.json();
    let ended = gateway.batch_ended(batch["id"].as_str().unwrap(), EXPIRES_WITHIN).await;
    assert_eq!(ended.status(), "expired");
    ended.assert_whole(LINES);
    assert!(!ended.output.is_empty(), "some were answered in time");
    assert_eq!(ended.error_codes(), HashSet::from(["batch_expired".to_owned()]));
    assert!(ended.batch["expired_at"].as_u64() >= ended.batch["expires_at"].as_u64());
    counts(&worker.engine, "no line any more", |counts| counts.in_flight == 0).await;
    let owed = books_agree(&gateway, [&worker.node]).await;
    assert!(owed >= ended.tokens(), "what was cut is paid as far as it was made: {owed}");
}
