//! How a request ends that could not be served, or not to its end: in words, and never with a fake end.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Act, Node, RogueWorker, Setup, Stream, World, ask, ask_stream,
    engine::{Behaviour, MODEL, Trouble, counts},
    node, rogue,
};

#[tokio::test]
async fn if_all_fail_the_tool_is_told_who_and_why() {
    let broken = RogueWorker::start(|_| vec![rogue::error(500, "", "out of memory")]).await;
    let poor = RogueWorker::start(|_| vec![rogue::error(402, "", "no credit")]).await;
    let gateway = Node::gateway().rogue(&broken).rogue(&poor).start().await;
    for body in [ask(MODEL, "hi"), ask_stream(MODEL, "hi")] {
        let answer = gateway.answer(&body).await;
        let error = answer.error(502, "all_upstreams_failed");
        let attempts = error["attempts"].as_array().unwrap();
        let of = |worker: &RogueWorker| {
            let attempt = attempts.iter().find(|attempt| attempt["peer"] == worker.id().to_string()).unwrap();
            attempt["reason"].as_str().unwrap().to_owned()
        };
        assert_eq!(attempts.len(), 2);
        assert!(of(&broken).contains("out of memory") && of(&poor).contains("402"), "{error}");
        assert_eq!(answer.header("x-should-retry"), None);
    }
}

#[tokio::test]
async fn if_nobody_is_up_the_tool_is_told_when_to_come_back() {
    let gone = RogueWorker::start(|_| vec![]).await;
    let gateway = Node::gateway().rogue(&gone).start().await;
    drop(gone);
    for body in [ask(MODEL, "hi"), ask_stream(MODEL, "hi")] {
        let answer = gateway.answer(&body).await;
        let error = answer.error(503, "no_upstream");
        assert!(error["message"].as_str().unwrap().contains("refused"), "{error}");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&after));
    }
}

#[tokio::test]
async fn if_no_first_byte_comes_in_time_it_is_a_timeout() {
    let hanging = RogueWorker::start(|_| vec![Act::Hang]).await;
    let keys = "first_byte_timeout = \"500ms\"\nanswer_timeout = \"500ms\"";
    let gateway = Node::gateway().rogue(&hanging).route(keys).start().await;
    for body in [ask(MODEL, "hi"), ask_stream(MODEL, "hi")] {
        let answer = gateway.answer(&body).await;
        let error = answer.error(504, "upstream_timeout");
        assert_eq!(error["attempts"][0]["peer"], hanging.id().to_string());
        assert!(error["message"].as_str().unwrap().contains("first_byte_timeout"), "{error}");
    }
}

#[tokio::test]
async fn a_tool_that_waits_for_long_hears_of_it_and_of_the_end() {
    let engine = stories::engine();
    engine.handle.set(Behaviour::of(Trouble::Hang));
    let gateway = Node::gateway().ollama(&engine).route("first_byte_timeout = \"16s\"").start().await;
    let mut stream = gateway.stream(&ask_stream(MODEL, "patience")).await;
    assert_eq!(stream.next().await.unwrap().text, ": waiting");
    let rest = stream.rest().await;
    let [error] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(error.json().unwrap()["error"]["code"], "upstream_timeout");
    assert_eq!(stream.broke, None);
}

/// What is left of a stream that broke must say so.
async fn assert_lost(mut stream: Stream) {
    let events = stream.rest().await;
    let error = events.last().unwrap().json().unwrap()["error"].clone();
    assert_eq!(error["code"], "upstream_lost", "{events:?}");
    assert!(["message", "type", "param"].iter().all(|member| error.get(member).is_some()), "{error}");
    assert!(events.iter().all(|event| event.data() != Some("[DONE]")), "never a fake end");
    assert_eq!(stream.broke, None, "the tool is told in words");
}

#[tokio::test]
async fn a_stream_whose_worker_is_killed_ends_as_lost() {
    let mut world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(3)));
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "on and on")).await;
    for _ in 0..3 {
        stream.next_data().await.unwrap();
    }
    world.worker.kill();
    assert_lost(stream).await;
    assert_eq!(world.gateway.home().receipts().await.len(), 0, "nobody owes for it");
}

#[tokio::test]
async fn a_stream_whose_engine_breaks_ends_as_lost_and_costs_nothing() {
    let world = World::start().await;
    for trouble in [Trouble::CutAfter(3), Trouble::ErrorAfter(3)] {
        world.engine.handle.set(Behaviour::of(trouble));
        assert_lost(world.gateway.stream(&ask_stream(MODEL, "on and on")).await).await;
    }
    assert_eq!(world.worker.home().receipts().await.len(), 0);
    assert_eq!(world.gateway.home().receipts().await.len(), 0);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_with_the_way_to_start_it() {
    let gateway =
        Node::gateway().set("ollama.url", &format!("\"http://{}\"", node::closed_port())).start().await;
    let answer = gateway.answer(&ask(MODEL, "hi")).await;
    let error = answer.error(503, "no_upstream");
    assert!(error["message"].as_str().unwrap().contains("ollama serve"), "{error}");
}

#[tokio::test]
async fn a_worker_cuts_what_takes_longer_than_its_owner_lends() {
    let limit = |worker: Setup| worker.set("worker.max_time", "\"1s\"");
    let world = World::with(limit, |gateway| gateway).await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(3)));
    assert_lost(world.gateway.stream(&ask_stream(MODEL, "on and on")).await).await;
    counts(&world.engine, "that it was cut", |counts| counts.aborted == 1).await;
    world.engine.handle.set(Behaviour::of(Trouble::Hang));
    world.gateway.answer(&ask(MODEL, "for ever")).await.error(502, "all_upstreams_failed");
    counts(&world.engine, "that it was cut", |counts| counts.in_flight == 0).await;
    // What came until then was delivered, and is owed for; the one that never began is not.
    let receipts = world.worker.home().receipts().await;
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    assert_eq!(
        (&receipts[0]["receipt"]["cut"], &receipts[0]["receipt"]["outputTokens"]),
        (&true.into(), &3.into())
    );
}
