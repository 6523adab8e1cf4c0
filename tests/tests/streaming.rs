//! Tokens stream from an engine through a worker and a gateway to the tool, as they are made; the
//! books are done on both sides, and nothing of that is seen by the tool.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::Duration;
use stories::{
    Act, Answer, Node, Raw, RogueWorker, Stream, World, ask, ask_stream,
    client::{Event, http, is_done, text_of},
    engine::{MODEL, UsageStyle, bodies, pace},
    json, raw, rogue,
};

#[tokio::test]
async fn tokens_reach_the_tool_and_the_same_receipt_is_in_both_ledgers() {
    let world = World::start().await;
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "sing")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(world.worker.id.to_string().as_str()));
    assert_eq!(stream.header("x-lobstah-attempts"), Some("1"));
    let events = stream.rest().await;
    assert!(text_of(&events).starts_with("Practice text from no model at all:"));
    assert!(is_done(&events), "{events:?}");

    let served = world.worker.home().receipts().await;
    let received = world.gateway.home().receipts().await;
    assert_eq!((served.len(), &served), (1, &received), "the same receipt on both sides");
    let receipt = &served[0]["receipt"];
    assert_eq!(receipt["workerPubkey"], world.worker.id.to_string());
    assert_eq!(receipt["requesterPubkey"], world.gateway.id.to_string());
    assert_eq!(receipt["outputTokens"], events.iter().filter_map(Event::words).count());
    let shown = world.gateway.get_json("/ledger").await;
    assert_eq!(shown["receipts"][0]["signature"], served[0]["signature"]);
    assert_eq!(world.gateway.receipts_counted("accepted").await, 1);
    assert_eq!(world.worker.receipts_counted("signed").await, 1);
}

#[tokio::test]
async fn a_whole_answer_carries_the_receipt_that_both_ledgers_have() {
    let world = World::start().await;
    let answer = world.gateway.answer(&ask(MODEL, "say it")).await;
    assert!(answer.text().starts_with("Practice text"));
    let carried = stories::forge::uncarried(answer.header("x-lobstah-receipt").unwrap());
    for home in [world.worker.home(), world.gateway.home()] {
        let kept = home.receipts().await;
        assert_eq!((kept.len(), &kept[0]["receipt"]), (1, &carried["receipt"]));
        assert_eq!(kept[0]["signature"], carried["signature"]);
    }
    assert_eq!(answer.json()["usage"]["completion_tokens"], carried["receipt"]["outputTokens"]);
}

#[tokio::test]
async fn the_receipt_stands_before_the_end_at_the_worker_and_never_reaches_the_tool() {
    let world = World::start().await;
    let question = ask_stream(MODEL, "sing").to_string();
    let request = http().post(world.worker.worker_url("/v1/chat/completions"));
    let request = request.header("content-type", "application/json").body(question.clone());
    let events = Stream::of(request).await.rest().await;
    let [.., receipt, done] = &events[..] else { panic!("{events:?}") };
    assert!(receipt.text.starts_with(":lobstah-receipt:"), "{receipt:?}");
    assert_eq!(done.data(), Some("[DONE]"));

    let mut seen_by_the_tool = Raw::to(world.gateway.gateway_address()).await;
    seen_by_the_tool.post("/v1/chat/completions", "", &question).await;
    let answer = seen_by_the_tool.answer().await;
    assert!(!answer.text().contains("lobstah"), "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
}

/// The time between one token's arrival and the next, sorted.
async fn gaps(world: &World, tokens: u64, per_token: Duration) -> Vec<Duration> {
    world.engine.handle.set(pace(tokens, per_token));
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "slowly")).await;
    let events = stream.rest().await;
    let arrivals: Vec<_> =
        events.iter().filter(|event| event.words().is_some()).map(|event| event.at).collect();
    assert_eq!(arrivals.len() as u64, tokens);
    let mut gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort();
    gaps
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_waits_for_the_next() {
    let world = World::start().await;
    let gaps = gaps(&world, 40, Duration::from_millis(30)).await;
    // Held back, they would come in pairs or more: half of the gaps would be nothing.
    let (early, median) = (gaps[gaps.len() / 5], gaps[gaps.len() / 2]);
    assert!(early > Duration::from_millis(10), "{gaps:?}");
    assert!((20..90).contains(&median.as_millis()), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_milliseconds_of_a_delayed_acknowledgement_never_appear() {
    let world = World::start().await;
    let mut tried = Vec::new();
    // Another program may take the machine for a moment; a delayed acknowledgement is there each time.
    for _ in 0..4 {
        let gaps = gaps(&world, 150, Duration::from_millis(5)).await;
        let (median, most) = (gaps[gaps.len() / 2], gaps[gaps.len() * 95 / 100]);
        if median < Duration::from_millis(15) && most < Duration::from_millis(35) {
            return;
        }
        tried.push((median, most));
    }
    panic!("median and 95th percentile of the gaps: {tried:?}");
}

#[tokio::test]
async fn usage_is_told_to_the_tool_that_asked_and_to_no_other() {
    let world = World::start().await;
    for style in [UsageStyle::Ollama, UsageStyle::NullsLikeOpenAi] {
        world.engine.handle.set(stories::engine::Behaviour { usage: style, ..Default::default() });
        let events = world.gateway.stream(&ask_stream(MODEL, "count")).await.rest().await;
        assert!(is_done(&events));
        assert!(events.iter().all(|event| !event.text.contains("\"usage\"")), "{style:?}: {events:?}");

        let mut asked = ask_stream(MODEL, "count");
        asked["stream_options"] = json!({"include_usage": true});
        let events = world.gateway.stream(&asked).await.rest().await;
        let usage = events.iter().rev().find_map(|event| Some(event.json()?["usage"].clone())).unwrap();
        assert_eq!(usage["completion_tokens"], events.iter().filter_map(Event::words).count(), "{style:?}");
    }
    // The receipts know it all the same.
    for entry in world.gateway.home().receipts().await {
        assert!(entry["receipt"]["outputTokens"].as_u64().unwrap() > 0);
    }
}

/// Odd, and none of our business: spaces, an order of keys, numbers, fields that nobody knows.
const ODD: &str = r#"{ "temperature":0.2, "zeta" : [1e2,-0.0,1.50], "messages":[{"content":"h\u00e9llo \"quoted\" \\n","role":"user","name":"x"}],
  "seed":1234567890123,"unknown_field":{"b":12345678901234567890,"a":{"deep":[null,true]}},"model":"practice:8b"  ,"top_p":0.10 }"#;

/// What a gateway orders where the tool names no maximum, taken out again.
fn without_bound(body: &str) -> String {
    body.replacen(",\"max_tokens\":8192", "", 1)
}

#[tokio::test]
async fn a_body_reaches_the_engine_byte_for_byte() {
    let world = World::start().await;
    let through_both = Answer::of(world.gateway.post("/v1/chat/completions", ODD)).await;
    assert_eq!(through_both.status, 200, "{}", through_both.body);
    let own = Node::gateway().ollama(&world.engine).start().await;
    let local = Answer::of(own.post("/v1/chat/completions", ODD)).await;
    assert_eq!((local.status, local.header("x-lobstah-worker")), (200, Some("local")));
    let [lent, own] = &bodies(&world.engine)[..] else { panic!() };
    assert_eq!(own, ODD);
    assert_eq!(
        without_bound(lent),
        ODD,
        "a worker holds the engine to what was ordered, and changes no more"
    );
    assert_eq!(local.header("x-lobstah-receipt"), None, "the owner's own engine owes nothing");
}

#[tokio::test]
async fn a_worker_changes_only_what_is_named() {
    let world = World::start().await;
    let streamed = ODD.replacen('{', "{\"stream\" :true,", 1);
    Stream::of(world.gateway.post("/v1/chat/completions", streamed.clone())).await.rest().await;
    let limited = ODD.replacen('{', "{\"max_completion_tokens\" : 7,", 1);
    let answer = Answer::of(world.gateway.post("/v1/chat/completions", limited.clone())).await;
    assert_eq!(answer.json()["usage"]["completion_tokens"], 7);
    let [first, second] = &bodies(&world.engine)[..] else { panic!() };
    let first = first.replacen(",\"stream_options\":{\"include_usage\":true}", "", 1);
    assert_eq!(without_bound(&first), streamed);
    assert_eq!(second.replacen("max_tokens", "max_completion_tokens", 1), limited);
}

#[tokio::test]
async fn no_secret_of_the_tool_goes_upstream() {
    let world = World::start().await;
    let request = world.gateway.chat(&ask(MODEL, "hush")).bearer_auth("sk-secret");
    let request =
        request.header("cookie", "session=1").header("x-api-key", "k").header("traceparent", "00-1-2-01");
    assert_eq!(Answer::of(request).await.status, 200);
    let seen = &world.engine.handle.requests_to("/v1/chat/completions")[0].headers;
    for secret in ["authorization", "cookie", "x-api-key", "x-lobstah-requester", "user-agent"] {
        assert!(!seen.contains_key(secret), "{secret}: {seen:?}");
    }
    assert_eq!(seen["traceparent"], "00-1-2-01");
    assert_eq!(seen["accept-encoding"], "identity");
}

#[tokio::test]
async fn an_answer_reaches_the_tool_byte_for_byte() {
    const EVENTS: &str = "data: {\"choices\" : [ {\"delta\":{\"content\":\"\\u00e9 {\\\"error\\\"\",\"odd\":1.0}} ],\"z\":0.10}\n\n\
                          : a comment of the engine's\n\nevent: odd\r\ndata: two\r\ndata: lines\r\n\r\n";
    let worker = RogueWorker::start(|_| {
        let whole = format!("{EVENTS}data: [DONE]\n\n");
        let (a, b) = whole.split_at(37);
        vec![
            rogue::stream_head(),
            rogue::say(a),
            Act::Pause(Duration::from_millis(30)),
            rogue::say(b),
            Act::Close,
        ]
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send(raw::chat(&ask_stream(MODEL, "odd"))).await;
    let answer = tool.answer().await;
    assert_eq!(answer.text(), format!("{EVENTS}data: [DONE]\n\n"));
    assert_eq!(gateway.receipts_counted("missing").await, 1);
}

#[tokio::test]
async fn embeddings_completions_and_models_go_the_same_way() {
    let world = World::start().await;
    let body = json!({"model": "practice-embed", "input": ["one", "two"]}).to_string();
    let embedded = Answer::of(world.gateway.post("/v1/embeddings", body)).await;
    assert_eq!(embedded.json()["data"].as_array().unwrap().len(), 2, "{}", embedded.body);
    let body = json!({"model": MODEL, "prompt": "Once", "stream": true}).to_string();
    let events = Stream::of(world.gateway.post("/v1/completions", body)).await.rest().await;
    assert!(is_done(&events));
    // Ollama puts zeros into every chunk there, which the tool did not ask for either.
    assert!(events.iter().all(|event| !event.text.contains("usage")), "{events:?}");
    assert_eq!(world.gateway.home().receipts().await.len(), 2);

    let models = world.gateway.get_json("/v1/models").await;
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["practice:1b", "practice:8b", "practice-embed:latest"]);
    for id in ["practice:8b", "practice%3A8b", "practice-embed"] {
        let model = world.gateway.get_json(&format!("/v1/models/{id}")).await;
        assert_eq!((&model["object"], model["id"].is_string()), (&json!("model"), true), "{id}");
    }
}

#[tokio::test]
async fn the_callers_request_id_comes_back() {
    let world = World::start().await;
    let given = world.gateway.chat(&ask(MODEL, "id")).header("x-request-id", "my-own-7");
    assert_eq!(Answer::of(given).await.header("x-request-id"), Some("my-own-7"));
    let made = world.gateway.answer(&ask(MODEL, "id")).await;
    assert!(made.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
}
