//! A tool that leaves ends the work that was done for it, on every machine, whenever it leaves; one
//! that reads slowly slows its own stream and nobody else.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::{Duration, Instant};
use stories::{
    Node, Raw, Stream, World, ask, ask_stream,
    client::{h2c, is_done},
    engine::{self, Behaviour, MODEL, Trouble, counts, pace},
    eventually, raw,
};

/// The promise is 100 ms. The machine may be busy, so that each of a few tries gets a chance to show it.
const PROMPT: Duration = Duration::from_millis(100);

/// Tries `leave` until the engine's work ended promptly after it, a few times at most. `leave` starts a
/// request, and returns what the tool holds of it once the time to leave has come.
async fn ends_promptly<T>(world: &World, leave: impl AsyncFn(u64) -> T) {
    let mut took = Vec::new();
    for aborted in 1..=5 {
        let held = leave(aborted).await;
        assert_eq!(world.engine.handle.counts().in_flight, 1);
        let left = Instant::now();
        drop(held);
        counts(&world.engine, "that the tool left", |counts| counts.aborted == aborted).await;
        took.push(left.elapsed());
        if took[took.len() - 1] <= PROMPT {
            return;
        }
    }
    panic!("the work went on for {took:?}");
}

/// A request that is in the engine.
async fn in_the_engine(world: &World, body: &stories::Value, nth: u64) -> Raw {
    let mut tool = Raw::to(world.gateway.gateway_address()).await;
    tool.send(raw::chat(body)).await;
    counts(&world.engine, "the request", |counts| counts.received == nth).await;
    tool
}

#[tokio::test]
async fn a_tool_that_leaves_before_the_first_byte_ends_the_engines_work() {
    let world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::Hang));
    ends_promptly(&world, async |nth| in_the_engine(&world, &ask_stream(MODEL, "never mind"), nth).await)
        .await;
    world.engine.handle.set(Behaviour::default());
    assert_eq!(world.gateway.answer(&ask(MODEL, "next")).await.status, 200, "it goes on");
}

#[tokio::test]
async fn a_tool_that_leaves_while_a_whole_answer_is_made_ends_the_engines_work() {
    let world = World::start().await;
    world.engine.handle.set(pace(10_000, Duration::from_millis(20)));
    ends_promptly(&world, async |nth| in_the_engine(&world, &ask(MODEL, "never mind"), nth).await).await;
    assert_eq!(world.worker.home().receipts().await.len(), 0);
}

#[tokio::test]
async fn a_tool_that_leaves_midstream_ends_the_engines_work() {
    let world = World::start().await;
    world.engine.handle.set(pace(10_000, Duration::from_millis(20)));
    ends_promptly(&world, async |_| {
        let mut stream = world.gateway.stream(&ask_stream(MODEL, "on and on")).await;
        for _ in 0..3 {
            stream.next_data().await.unwrap();
        }
        stream
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_leaves_while_nothing_is_said_midstream_ends_the_engines_work() {
    let world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(2)));
    ends_promptly(&world, async |_| {
        let mut stream = world.gateway.stream(&ask_stream(MODEL, "on and on")).await;
        stream.next_data().await.unwrap();
        stream.next_data().await.unwrap();
        stream
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_resets_its_stream_of_http_2_ends_the_engines_work() {
    let world = World::start().await;
    world.engine.handle.set(pace(10_000, Duration::from_millis(20)));
    let tool = h2c();
    ends_promptly(&world, async |_| {
        let request = tool.post(world.gateway.url("/v1/chat/completions"));
        let request = request.header("content-type", "application/json");
        let mut stream = Stream::of(request.body(ask_stream(MODEL, "on and on").to_string())).await;
        stream.next_data().await.unwrap();
        stream
    })
    .await;
    let models = tool.get(world.gateway.url("/v1/models")).send().await.unwrap();
    assert_eq!(models.status(), 200, "the connection itself lives on");
}

#[tokio::test]
async fn who_leaves_a_queue_is_never_served() {
    let world = World::with(|worker| worker.set("worker.concurrency", "1"), |gateway| gateway).await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut held = world.gateway.stream(&ask_stream(MODEL, "hold")).await;
    held.next_data().await.unwrap();
    let mut queued = Vec::new();
    for at in 0..4 {
        // Two queue at the gateway, two at the worker.
        let address = if at < 2 { world.gateway.gateway_address() } else { world.worker.worker_address() };
        let mut tool = Raw::to(address).await;
        tool.send(raw::chat(&ask_stream(MODEL, &format!("wait {at}")))).await;
        queued.push(tool);
    }
    let waiting = "lobstah_requests_waiting";
    for node in [&world.gateway, &world.worker] {
        eventually("two wait", async || (node.metric(waiting).await == 2).then_some(())).await;
    }
    drop(queued);
    let open = "lobstah_requests_open";
    for node in [&world.gateway, &world.worker] {
        // The stream that is held, and the question itself.
        eventually("they are gone", async || (node.metric(open).await == 2).then_some(())).await;
    }
    world.engine.handle.release();
    assert!(is_done(&held.rest().await));
    assert_eq!(world.gateway.answer(&ask(MODEL, "next")).await.status, 200);
    assert_eq!(engine::bodies(&world.engine).len(), 2, "nobody asked the engine for those who left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_little_memory_and_holds_up_nobody() {
    const MIB: u64 = 1024 * 1024;
    let world = World::start().await;
    world.gateway.answer(&ask(MODEL, "warm up")).await;
    let nodes = [&world.gateway, &world.worker];
    let before = nodes.map(|node| node.process.resident_bytes());
    world.engine.handle.set(Behaviour {
        answer_tokens: Some(3_000_000),
        times: Some(1),
        ..Behaviour::default()
    });
    let mut reader = Raw::with_a_small_window(world.gateway.gateway_address()).await;
    reader.send(raw::chat(&ask_stream(MODEL, "half a gigabyte"))).await;
    counts(&world.engine, "the request", |counts| counts.tokens > 1000).await;
    world.engine.handle.set(Behaviour::default());
    // Read byte by byte until the engine is slowed to a standstill.
    let mut made = 0;
    eventually("the engine waits for the reader", async || {
        assert!(reader.read_byte().await.is_some());
        let answer = world.gateway.answer(&ask(MODEL, "me too")).await;
        assert_eq!(answer.status, 200, "others are served meanwhile");
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = world.engine.handle.counts().tokens;
        // The other answer's tokens are a few dozen.
        let still = now - made < 100;
        made = now;
        still.then_some(())
    })
    .await;
    assert!(made < 2_000_000, "{made} tokens were made for somebody who read a few bytes");
    for (node, before) in nodes.iter().zip(before) {
        let grown = node.process.resident_bytes().saturating_sub(before);
        assert!(grown < 24 * MIB, "{} MiB more", grown / MIB);
    }
    drop(reader);
    counts(&world.engine, "that the reader left", |counts| counts.in_flight == 0).await;
}

#[tokio::test]
async fn a_tool_that_leaves_in_the_middle_of_its_upload_hurts_nobody() {
    let engine = stories::engine();
    let gateway = Node::gateway().ollama(&engine).start().await;
    for _ in 0..3 {
        let mut tool = Raw::to(gateway.gateway_address()).await;
        tool.send(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        )
        .await;
        tool.send("Content-Length: 1000\r\n\r\n{\"model\":").await;
        drop(tool);
    }
    eventually("all are gone", async || (gateway.metric("lobstah_requests_open").await == 1).then_some(()))
        .await;
    assert_eq!(gateway.answer(&ask(MODEL, "hi")).await.status, 200);
    assert_eq!(engine.handle.counts().received, 1);
}
