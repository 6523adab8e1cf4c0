//! HTTP as it is really spoken: pipelined, chunked, with `Expect`, in versions 1.0, 1.1 and 2, dribbled
//! and broken.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::Duration;
use stories::{
    Engine, Node, Raw, RogueWorker, Stream, World, ask, ask_stream,
    chat::large,
    client::{Answer, h2c, is_done, text_of},
    engine::{self, Behaviour, MODEL, Trouble, counts},
    raw, rogue, spawn,
};

async fn gateway() -> (Engine, Node) {
    let engine = stories::engine();
    let gateway = Node::gateway().ollama(&engine).start().await;
    (engine, gateway)
}

const HEADER: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    let questions = ["first", "second", "third"].map(|prompt| ask(MODEL, prompt));
    let streamed = ask_stream(MODEL, "fourth");
    let requests: String = questions.iter().chain([&streamed]).map(raw::chat).collect();
    tool.send(requests + "GET /pubkey HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    for question in questions {
        let expected = gateway.answer(&question).await.text();
        let answer = tool.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["choices"][0]["message"]["content"], expected);
    }
    assert!(tool.answer().await.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(tool.answer().await.json()["pubkey"], gateway.id.to_string());
}

#[tokio::test]
async fn a_request_behind_one_that_takes_long_waits_for_its_turn() {
    let (engine, gateway) = gateway().await;
    engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send(raw::chat(&ask_stream(MODEL, "long"))).await;
    counts(&engine, "the request", |counts| counts.tokens == 1).await;
    // While the first is answered, not taken for a sign that the tool left.
    tool.send(raw::chat(&ask(MODEL, "next"))).await;
    engine.handle.release();
    assert!(tool.answer().await.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(tool.answer().await.status, 200);
}

#[tokio::test]
async fn a_chunked_upload_is_put_together() {
    let (engine, gateway) = gateway().await;
    let body = ask(MODEL, "in many pieces, ü").to_string();
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send(format!("{HEADER}Transfer-Encoding: chunked\r\n\r\n")).await;
    for piece in body.as_bytes().chunks(7) {
        let mut chunk = format!("{:X};name=value\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        tool.send(chunk).await;
    }
    tool.send("0\r\n\r\n").await;
    assert_eq!(tool.answer().await.status, 200);
    assert_eq!(engine::bodies(&engine), [body]);
    tool.send(raw::chat(&ask(MODEL, "and on the same connection"))).await;
    assert_eq!(tool.answer().await.status, 200);
}

#[tokio::test]
async fn who_expects_100_gets_it_and_keeps_the_connection() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    for body in [ask(MODEL, "may I?"), ask_stream(MODEL, "once more?")] {
        let body = body.to_string();
        tool.send(format!("{HEADER}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        assert_eq!(tool.head().await.status, 100);
        tool.send(&body).await;
        assert_eq!(tool.answer().await.status, 200);
    }
    // One who is refused need not send the body at all.
    tool.send(
        "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    )
    .await;
    assert_eq!(tool.answer().await.status, 404);
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_whole_and_streamed_and_many_at_once() {
    let world = World::start().await;
    let tool = h2c();
    let post = |body: stories::Value| {
        let request = tool.post(world.gateway.url("/v1/chat/completions"));
        request.header("content-type", "application/json").body(body.to_string())
    };
    let response = post(ask(MODEL, "two")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.headers().contains_key("x-lobstah-receipt"));
    assert!(is_done(&Stream::of(post(ask_stream(MODEL, "two"))).await.rest().await));
    Answer::of(post(stories::json!({"model": 2}))).await.error(400, "invalid_value");
    let many = (0..20).map(|at| {
        let request = post(ask_stream(MODEL, &format!("stream {at}")));
        spawn(async move { Stream::of(request).await.rest().await })
    });
    let mut texts = Vec::new();
    for stream in many.collect::<Vec<_>>() {
        let events = stream.join().await;
        assert!(is_done(&events));
        texts.push(text_of(&events));
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 20, "each has its own answer");
}

#[tokio::test]
async fn http_1_0_is_answered_and_the_connection_closed() {
    let (_engine, gateway) = gateway().await;
    for (body, end) in [(ask(MODEL, "old"), "}"), (ask_stream(MODEL, "old"), "data: [DONE]\n\n")] {
        let mut tool = Raw::to(gateway.gateway_address()).await;
        let request = raw::chat(&body).replacen("HTTP/1.1", "HTTP/1.0", 1);
        tool.send(request).await;
        let answer = tool.answer().await;
        assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
        assert!(answer.text().ends_with(end), "{}", answer.text());
        assert_eq!(tool.until_closed().await, b"");
    }
}

#[tokio::test]
async fn the_shortest_request_that_there_is_gets_an_answer() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send("GET / HTTP/1.0\r\n\r\n").await;
    // It names no host, which an HTTP/1.0 request need not.
    let answer = tool.answer().await;
    assert!([200, 403].contains(&answer.status), "{}", answer.text());
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let head = tool.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    tool.send("GET /pubkey HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = tool.answer().await;
    assert_eq!(answer.json()["pubkey"], gateway.id.to_string(), "nothing of a body came before it");
}

#[tokio::test]
async fn a_connection_is_kept_after_errors() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    for _ in 0..3 {
        tool.post("/v1/chat/completions", "", "{oops").await;
        assert_eq!(tool.answer().await.status, 400);
        tool.send(raw::chat(&ask("no-such-model", "hi"))).await;
        assert_eq!(tool.answer().await.status, 404);
        tool.send(raw::chat(&ask("practice-embed", "hi"))).await;
        assert_eq!(tool.answer().await.status, 400);
        tool.send(raw::chat(&ask(MODEL, "hi"))).await;
        assert_eq!(tool.answer().await.status, 200);
    }
}

#[tokio::test]
async fn bodies_of_any_size_arrive_whole_one_after_another() {
    let world = World::start().await;
    let mut tool = Raw::to(world.gateway.gateway_address()).await;
    let sizes = [65_535, 65_536, 65_537, 131_072, 1_000_000, 4_000_000, 10];
    let mut sent = Vec::new();
    for size in sizes {
        let body = large(MODEL, size, false).to_string();
        tool.post("/v1/chat/completions", "", &body).await;
        let answer = tool.answer().await;
        assert_eq!(answer.status, 200, "{size}: {}", answer.text());
        sent.push(body);
    }
    assert!(engine::bodies(&world.engine) == sent, "a body changed on its way");
}

#[tokio::test]
async fn an_event_of_half_a_megabyte_passes_whole() {
    let long = "x".repeat(500_000);
    let expected = long.clone();
    let worker = RogueWorker::start(move |_| {
        vec![rogue::stream_head(), rogue::words(&long), rogue::say("data: [DONE]\n\n"), stories::Act::Close]
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let events = gateway.stream(&ask_stream(MODEL, "long")).await.rest().await;
    assert!(is_done(&events) && text_of(&events) == expected);
}

#[tokio::test]
async fn dribbled_headers_hold_up_nobody() {
    let (_engine, gateway) = gateway().await;
    let mut dribblers = Vec::new();
    for _ in 0..200 {
        let mut tool = Raw::to(gateway.gateway_address()).await;
        tool.send("POST /v1/chat/completions HTTP/1.1\r\nHo").await;
        dribblers.push(tool);
    }
    for round in 0..10 {
        for tool in &mut dribblers {
            tool.send("s").await;
        }
        let answer = gateway.answer(&ask(MODEL, &format!("round {round}"))).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended() {
    let (_engine, gateway) = gateway().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send(format!("{HEADER}Content-Length: 1000\r\n\r\n{{\"model\":")).await;
    // A byte of it every 30 s would do.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let answer = tool.answer().await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (408, Some("request_timeout")));
    tool.until_closed().await;
}

#[tokio::test]
async fn two_lengths_for_one_body_are_refused() {
    let (engine, gateway) = gateway().await;
    for lengths in
        ["Content-Length: 4\r\nContent-Length: 40\r\n", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"]
    {
        let mut tool = Raw::to(gateway.gateway_address()).await;
        // Whoever takes the one length finds another request where the other's body is.
        tool.send(format!("{HEADER}{lengths}\r\n0\r\n\r\nGET /pubkey HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        tool.finish().await;
        let said = String::from_utf8_lossy(&tool.until_closed().await).into_owned();
        assert!(!said.contains("HTTP/1.1 200"), "{lengths}: {said}");
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{lengths}: {said}");
    }
    assert_eq!(engine.handle.counts().received, 0);
}
