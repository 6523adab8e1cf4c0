//! Many batches at once: each gets its turns, whoever came first and however long it is.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::{StreamExt, stream};
use std::time::Duration;
use stories::{
    Node, Value,
    batches::{A_WHILE, short_lines},
    engine::{self, Behaviour, MODEL, Trouble, counts, pace},
    eventually_within, json,
};

const BATCHES: usize = 100;

const LINES: usize = 6;

/// How often all are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

async fn all(gateway: &Node) -> Vec<Value> {
    gateway.get_json("/v1/batches?limit=100").await["data"].as_array().unwrap().clone()
}

fn answered(batch: &Value) -> u64 {
    batch["request_counts"]["completed"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_batches_get_on_alike() {
    let engine = engine::engine();
    engine.handle.set(Behaviour::of(Trouble::Hang));
    let gateway = Node::gateway().ollama(&engine).set("ollama.concurrency", "2").start().await;
    let lines = short_lines(MODEL, LINES);
    let begun = stream::iter(0..BATCHES).map(|_| gateway.begin_batch(&lines, json!({})));
    assert_eq!(begun.buffer_unordered(8).count().await, BATCHES);
    eventually_within(A_WHILE, LOOK_EVERY, "all are read", async || {
        all(&gateway).await.iter().all(|batch| batch["status"] == "in_progress").then_some(())
    })
    .await;
    engine.handle.set(pace(1, Duration::from_millis(5)));
    engine.handle.release();
    let when_first_is_over = eventually_within(A_WHILE, LOOK_EVERY, "the first is over", async || {
        let all = all(&gateway).await;
        all.iter().any(|batch| answered(batch) == LINES as u64).then_some(all)
    })
    .await;
    let least = when_first_is_over.iter().map(answered).min().unwrap();
    assert!(least >= LINES as u64 / 2, "one has {least} answers when another has all");
    eventually_within(A_WHILE, LOOK_EVERY, "all are over", async || {
        all(&gateway).await.iter().all(|batch| batch["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(engine.handle.counts().received, (BATCHES * LINES) as u64, "each line once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_line_does_not_wait_for_the_thousand_that_came_before() {
    let engine = engine::engine();
    engine.handle.set(pace(1, Duration::from_millis(20)));
    let gateway = Node::gateway().ollama(&engine).set("ollama.concurrency", "2").start().await;
    let long = gateway.begin_batch(&short_lines(MODEL, 1000), json!({})).await;
    counts(&engine, "some of its lines", |counts| counts.received > 10).await;
    let before = answered(&gateway.batch(&long).await);
    let short = gateway.begin_batch(&short_lines(MODEL, 1), json!({})).await;
    gateway.batch_reaches(&short, 1, A_WHILE).await;
    let meanwhile = answered(&gateway.batch(&long).await) - before;
    assert!(before + meanwhile < 1000, "the long one is over: {before} and {meanwhile}");
    assert!(meanwhile < 200, "{meanwhile} lines went first");
    gateway.batch_ended(&short, A_WHILE).await.assert_answered(1);
    gateway.batch_ended(&long, A_WHILE).await.assert_answered(1000);
}
