//! When every place is taken: who waits, who is served next, who is sent away and until when.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Answer, Node, Setup, World, ask, ask_stream,
    client::{Stream, http},
    engine::{Behaviour, MODEL, Trouble, counts},
    eventually, spawn,
};

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (stories::Engine, Node) {
    let engine = stories::engine();
    let gateway = change(Node::gateway().ollama(&engine)).start().await;
    (engine, gateway)
}

#[track_caller]
fn to_be_retried(answer: &Answer) {
    assert_eq!(answer.header("x-should-retry"), None, "{}", answer.body);
    let after: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
}

/// Takes the engine until it is released.
fn hang(engine: &stories::Engine) {
    engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
}

#[tokio::test]
async fn a_worker_whose_queue_is_full_says_when_to_come_back() {
    let world = World::with(
        |worker| worker.set("worker.concurrency", "1").set("worker.queue", "0"),
        |gateway| gateway,
    )
    .await;
    hang(&world.engine);
    let request = |body: stories::Value| {
        let request = http().post(world.worker.worker_url("/v1/chat/completions"));
        request.header("content-type", "application/json").body(body.to_string())
    };
    let mut held = Stream::of(request(ask_stream(MODEL, "hold"))).await;
    held.next_data().await.unwrap();
    for body in [ask(MODEL, "hi"), ask_stream(MODEL, "hi")] {
        let answer = Answer::of(request(body)).await;
        assert_eq!(answer.error(429, "worker_busy")["type"], "rate_limit_error");
        to_be_retried(&answer);
    }
    world.engine.handle.release();
    assert!(stories::client::is_done(&held.rest().await));
    assert_eq!(Answer::of(request(ask(MODEL, "now"))).await.status, 200);
}

#[tokio::test]
async fn a_gateway_without_room_in_its_queue_says_when_to_come_back() {
    let (engine, gateway) =
        gateway(|setup| setup.set("gateway.queue", "0").set("ollama.concurrency", "1")).await;
    hang(&engine);
    let mut held = gateway.stream(&ask_stream(MODEL, "hold")).await;
    held.next_data().await.unwrap();
    for body in [ask(MODEL, "hi"), ask_stream(MODEL, "hi")] {
        let answer = gateway.answer(&body).await;
        answer.error(429, "worker_busy");
        to_be_retried(&answer);
    }
    engine.handle.release();
    held.rest().await;
}

#[tokio::test]
async fn who_waits_in_the_gateways_queue_is_served_when_room_comes() {
    let (engine, gateway) = gateway(|setup| setup.set("ollama.concurrency", "1")).await;
    hang(&engine);
    let mut held = gateway.stream(&ask_stream(MODEL, "hold")).await;
    held.next_data().await.unwrap();
    let waiting: Vec<_> =
        (0..3).map(|at| spawn(Answer::of(gateway.chat(&ask(MODEL, &format!("wait {at}")))))).collect();
    eventually("all three wait", async || {
        (gateway.metric("lobstah_requests_waiting").await == 3).then_some(())
    })
    .await;
    assert_eq!(counts(&engine, "one request", |counts| counts.received == 1).await.in_flight, 1);
    engine.handle.release();
    held.rest().await;
    for one in waiting {
        assert_eq!(one.join().await.status, 200);
    }
}

#[tokio::test]
async fn who_waits_longer_than_the_owner_allows_is_sent_away() {
    let (engine, gateway) =
        gateway(|setup| setup.set("ollama.concurrency", "1").set("gateway.max_wait", "\"200ms\"")).await;
    hang(&engine);
    let mut held = gateway.stream(&ask_stream(MODEL, "hold")).await;
    held.next_data().await.unwrap();
    let answer = gateway.answer(&ask(MODEL, "hi")).await;
    answer.error(429, "worker_busy");
    to_be_retried(&answer);
}
