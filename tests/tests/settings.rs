//! A running node follows `lobstah.toml`: all of it or nothing, and no request notices.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{fs, time::Duration};
use stories::{
    Answer, Node, World, ask, ask_stream,
    client::{is_done, text_of},
    engine::{self, Behaviour, MODEL, pace},
    engine_with, eventually, spawn,
};

const RELOADS: usize = 1000;

/// Replaces the file in one rename, as careful editors do.
fn write(node: &Node, text: &str) {
    let beside = node.home().write("lobstah.toml.new", text);
    fs::rename(beside, node.home().file("lobstah.toml")).unwrap();
}

fn text(node: &Node) -> String {
    fs::read_to_string(node.home().file("lobstah.toml")).unwrap()
}

async fn reloads(node: &Node, result: &str) -> u64 {
    node.metric(&format!("lobstah_reloads_total{{result=\"{result}\"}}")).await
}

async fn reloaded(node: &Node, result: &str, before: u64) {
    eventually("the node read its settings again", async || {
        (reloads(node, result).await > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_reloads_under_load_fail_no_request() {
    let world = World::start().await;
    let gateway = &world.gateway;
    let before = text(gateway);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tools: Vec<_> = (0..4)
        .map(|tool| {
            let (stop, http, url) = (stop.clone(), gateway.http(), gateway.url("/v1/chat/completions"));
            spawn(async move {
                let mut answered = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let body = if tool % 2 == 0 { ask(MODEL, "hello") } else { ask_stream(MODEL, "hello") };
                    let post = http.post(&url).header("content-type", "application/json");
                    let answer = Answer::of(post.body(body.to_string())).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    assert!(tool % 2 == 0 || answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for round in 0..RELOADS {
        // Another route, another queue, another number of requests at once: everything that can move.
        let (queue, to) = if round % 2 == 0 { (500, "friends") } else { (1000, "friends\", \"local") };
        let changed = before.replace("[gateway]\n", &format!("[gateway]\nqueue = {queue}\n"));
        write(gateway, &format!("{changed}[[routes]]\nmodel = \"*\"\nto = [\"{to}\"]\n"));
        gateway.process.signal("HUP");
        let wanted = round as u64;
        reloaded(gateway, "applied", wanted).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut answered = 0;
    for tool in tools {
        answered += tool.join().await;
    }
    assert!(answered > 100, "only {answered} requests while it reloaded");
}

#[tokio::test]
async fn a_change_is_followed_without_a_signal_and_open_streams_go_on() {
    let engine = engine_with(&[MODEL, "other:1b"]);
    let gateway = Node::gateway().ollama(&engine).start().await;
    engine.handle.set(pace(40, Duration::from_millis(50)).times(1));
    let mut stream = gateway.stream(&ask_stream(MODEL, "count")).await;
    stream.next_data().await.unwrap();
    let route = "[[routes]]\nmodel = \"nickname\"\nuse = \"other:1b\"\n[[routes]]\nmodel = \"*\"\nto = [\"friends\"]\n";
    write(&gateway, &format!("{}{route}", text(&gateway)));
    eventually("the new name is known", async || {
        (gateway.answer(&ask("nickname", "hello")).await.status == 200).then_some(())
    })
    .await;
    assert!(engine::bodies(&engine).last().unwrap().contains("other:1b"));
    gateway.answer(&ask(MODEL, "hello")).await.error(404, "model_not_found");
    let events = stream.rest().await;
    assert!(is_done(&events), "{events:?}");
    assert!(text_of(&events).split_whitespace().count() > 20);
}

#[tokio::test]
async fn a_broken_file_is_reported_with_its_place_and_the_old_settings_stay() {
    let engine = engine_with(&[MODEL]);
    let gateway = Node::gateway().ollama(&engine).start().await;
    let good = text(&gateway);
    let lines = good.lines().count();
    write(&gateway, &format!("{good}[gatway]\nqueue = 3\n"));
    reloaded(&gateway, "refused", 0).await;
    let place = format!("lobstah.toml:{}", lines + 1);
    let said = gateway.process.stderr();
    assert!(said.contains(&place) && said.contains("gatway"), "{place} is not in: {said}");
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    fs::remove_file(gateway.home().file("lobstah.toml")).unwrap();
    reloaded(&gateway, "gone", 0).await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    write(&gateway, &format!("{good}[[routes]]\nmodel = \"*\"\nto = [\"friends\"]\n"));
    reloaded(&gateway, "applied", 0).await;
    gateway.answer(&ask(MODEL, "hello")).await.error(404, "model_not_found");
}

#[tokio::test]
async fn a_reload_gives_waiting_requests_the_room_that_is_new() {
    let engine = engine_with(&[MODEL]);
    let gateway = Node::gateway().ollama(&engine).set("ollama.concurrency", "1").start().await;
    engine.handle.set(Behaviour::of(engine::Trouble::HangAfter(1)).times(1));
    let mut holds = gateway.stream(&ask_stream(MODEL, "hold")).await;
    holds.next_data().await.unwrap();
    let waits = gateway.chat(&ask(MODEL, "wait"));
    let waits = spawn(async move { Answer::of(waits).await });
    eventually("the second request waits", async || {
        (gateway.metric("lobstah_requests_waiting").await == 1).then_some(())
    })
    .await;
    write(&gateway, &text(&gateway).replace("concurrency = 1", "concurrency = 2"));
    assert!(waits.join().await.text().starts_with("Practice"));
}

#[tokio::test]
async fn a_file_that_is_gone_is_no_wish_for_the_defaults() {
    let engine = engine_with(&[MODEL]);
    let gateway = Node::gateway().ollama(&engine).set("gateway.api_keys", "[\"sk-1\"]").start().await;
    fs::remove_file(gateway.home().file("lobstah.toml")).unwrap();
    for round in 0..2 {
        gateway.process.signal("HUP");
        let post = gateway.post("/v1/chat/completions", ask(MODEL, "hello").to_string());
        assert_eq!(Answer::of(post).await.status, 401, "round {round}");
    }
    let said = eventually("it says so", async || {
        let said = gateway.process.stderr();
        said.contains("is gone; the old settings stay in force").then_some(said)
    })
    .await;
    assert!(!said.contains("new settings are in force"), "{said}");
}

#[tokio::test]
async fn a_model_in_ollamas_cloud_is_not_on_this_machine() {
    let engine = engine_with(&[MODEL, "gpt-oss:120b-cloud"]);
    let only_mine = Node::gateway().ollama(&engine).route("to = [\"local\"]").start().await;
    assert_eq!(only_mine.answer(&ask(MODEL, "hello")).await.status, 200);
    only_mine.answer(&ask("gpt-oss:120b-cloud", "secret")).await.error(404, "model_not_found");
    assert!(!engine::bodies(&engine).iter().any(|body| body.contains("secret")));
    let explained = only_mine.home().run(&["route", "explain", "gpt-oss:120b-cloud"]).await.stdout;
    assert!(explained.contains("cloud"), "{explained}");
    // Named in full it is what its owner wants; and so it is where no route says anything.
    let named = Node::gateway()
        .ollama(&engine)
        .table("[[routes]]\nmodel = \"gpt-oss:120b-cloud\"\nto = [\"local\"]")
        .start()
        .await;
    assert_eq!(named.answer(&ask("gpt-oss:120b-cloud", "hello")).await.status, 200);
    let plain = Node::gateway().ollama(&engine).start().await;
    assert_eq!(plain.answer(&ask("gpt-oss:120b-cloud", "hello")).await.status, 200);
}
