//! Errors and silence on demand, and who is told when the other side is gone.

use super::support::{Events, answer, parsed, question, within, world};
use serde_json::json;
use upstream_ollama::{
    EngineError,
    practice::{Behaviour, Trouble},
};

#[tokio::test]
async fn it_fails_as_often_as_it_was_told_to() {
    let world = world();
    world.handle().fail_next(2, 503);
    for status in [503, 503, 200] {
        assert_eq!(world.chat(question(json!({}))).await.status(), status);
    }
    let body = Some("{\"mine\":1}".into());
    world.handle().set(Behaviour::of(Trouble::Fail { status: 418, body }).times(1));
    let response = world.chat(question(json!({}))).await;
    assert_eq!(
        (response.status().as_u16(), within(response.text()).await.unwrap().as_str()),
        (418, "{\"mine\":1}")
    );
    within(world.handle().wait_until(|counts| counts.finished == 4 && counts.in_flight == 0)).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_ends_the_work() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::Hang));
    let body = question(json!({"stream": true}));
    let request = world.post("/v1/chat/completions", &body).send();
    tokio::select! {
        _ = request => panic!("it answered"),
        _ = within(world.handle().wait_until(|counts| counts.received == 1)) => (),
    }
    let counts = within(world.handle().wait_until(|counts| counts.in_flight == 0)).await;
    assert_eq!((counts.aborted, counts.finished, counts.tokens), (1, 0, 0));
}

#[tokio::test]
async fn a_client_that_leaves_midstream_ends_the_work() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::HangAfter(3)));
    let mut events = Events::of(world.chat(question(json!({"stream": true}))).await);
    events.tokens(3).await;
    drop(events);
    let counts = within(world.handle().wait_until(|counts| counts.in_flight == 0)).await;
    assert_eq!((counts.aborted, counts.tokens), (1, 3));
}

#[tokio::test]
async fn a_reader_that_stops_reading_stops_the_engine() {
    let world = world();
    let response = world.chat(question(json!({"stream": true, "model": "practice:8b-s1000000"}))).await;
    drop(response);
    let counts = within(world.handle().wait_until(|counts| counts.aborted == 1)).await;
    assert!(counts.tokens < 1_000_000);
}

#[tokio::test]
async fn those_who_hang_go_on_when_released() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::HangAfter(2)));
    world.handle().release();
    let mut events = Events::of(world.chat(question(json!({"stream": true, "max_tokens": 4}))).await);
    events.tokens(2).await;
    world.handle().release();
    assert_eq!(events.rest().await.len(), 2 + 2);
    within(world.handle().wait_until(|counts| counts.finished == 1)).await;
}

#[tokio::test]
async fn a_cut_comes_after_exactly_so_many_tokens() {
    let world = world();
    for after in [0, 1, 7] {
        world.handle().set(Behaviour::of(Trouble::CutAfter(after)));
        let mut events = Events::of(world.chat(question(json!({"stream": true}))).await);
        events.tokens(after as usize).await;
        assert!(events.next().await.is_err());
    }
    let whole = world.chat(question(json!({}))).await;
    assert!(within(whole.bytes()).await.is_err());
}

#[tokio::test]
async fn an_error_in_a_stream_ends_it_without_done() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::ErrorAfter(2)));
    let events = Events::of(world.chat(question(json!({"stream": true}))).await).rest().await;
    assert_eq!(events.len(), 3);
    assert_eq!(parsed(&events[2])["error"]["type"], "api_error");
    assert_eq!(world.chat(question(json!({}))).await.status(), 500);
}

#[tokio::test]
async fn a_body_can_be_refused_unread() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::RefuseBody).times(1));
    let long = "x".repeat(5_000_000);
    let request = world
        .post("/v1/chat/completions", &question(json!({"messages": [{"role": "user", "content": long}]})));
    // The client may find the connection closed while it still writes.
    if let Ok(response) = within(request.send()).await {
        assert_eq!(
            (response.status().as_u16(), &response.headers()["connection"]),
            (503, &"close".parse().unwrap())
        );
    }
    assert!(world.handle().requests().pop().unwrap().body.is_empty());
    answer(world.chat(question(json!({}))).await).await;
}

#[tokio::test]
async fn an_answer_has_as_many_tokens_as_ordered() {
    let world = world();
    world.handle().set(Behaviour { answer_tokens: Some(5000), ..Behaviour::default() });
    let events = Events::of(world.chat(question(json!({"stream": true}))).await).rest().await;
    assert_eq!(events.len(), 5000 + 2);
}

#[tokio::test]
async fn a_stopped_engine_ends_all_at_once() {
    let world = world();
    world.handle().set(Behaviour::of(Trouble::HangAfter(1)));
    let mut events = Events::of(world.chat(question(json!({"stream": true}))).await);
    events.tokens(1).await;
    let handle = world.handle().clone();
    within(world.engine.stop()).await;
    assert!(events.next().await.is_err());
    let counts = handle.counts();
    assert_eq!((counts.connections, counts.in_flight, counts.aborted), (0, 0, 1));
    assert!(matches!(within(world.ollama.version()).await, Err(EngineError::Unreachable { .. })));
}
