//! A thousand streams at once, each with its own words, through a gateway and a worker.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::collections::HashSet;
use stories::{
    Node, Stream, Value, ask, ask_stream,
    client::{Answer, http, is_done, text_of},
    engine::{Behaviour, MODEL, Trouble, counts},
    spawn,
};

const CROWD: usize = 1000;

/// Each stream is a socket at the tool and one at the engine, both of them in this process.
const FILES: u32 = 4 * CROWD as u32;

/// Runs this test again where enough files may be open, if they may not here. `true`: it was run there.
fn ran_with_more_files(test: &str) -> bool {
    let shell = |line: &str| std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    let limit = String::from_utf8(shell("ulimit -n").stdout).unwrap();
    if limit.trim().parse().map_or(true, |limit: u32| limit >= FILES) {
        return false;
    }
    let this = std::env::current_exe().unwrap();
    let again = shell(&format!("ulimit -n {FILES} && exec '{}' --exact {test}", this.display()));
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    true
}

fn question(at: usize) -> String {
    format!("What does number {at} say?")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_at_once_all_end_well_each_with_its_own_words() {
    if ran_with_more_files("a_thousand_streams_at_once_all_end_well_each_with_its_own_words") {
        return;
    }
    let room = CROWD.to_string();
    let engine = stories::engine();
    let worker = Node::worker(&engine).set("worker.concurrency", &room).open_files(FILES).start().await;
    let gateway = Node::gateway().friend(&worker).open_files(FILES).start().await;

    engine.handle.set(Behaviour::of(Trouble::HangAfter(3)));
    let tool = http();
    let streams: Vec<_> = (0..CROWD)
        .map(|at| {
            let request = tool.post(gateway.url("/v1/chat/completions"));
            let request = request.header("content-type", "application/json");
            let request = request.body(ask_stream(MODEL, &question(at)).to_string());
            spawn(async move { Stream::of(request).await.rest().await })
        })
        .collect();
    // All of them at once: nobody goes on before the last has begun.
    counts(&engine, "a thousand streams at once", |counts| {
        counts.in_flight == CROWD as u64 && counts.tokens == 3 * CROWD as u64
    })
    .await;
    assert_eq!(gateway.metric("lobstah_requests_open").await, CROWD as u64 + 1);
    engine.handle.release();

    let mut texts = Vec::new();
    for stream in streams {
        let events = stream.join().await;
        assert!(is_done(&events), "{:?}", events.last());
        texts.push(text_of(&events));
    }
    let distinct: HashSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), CROWD);
    engine.handle.set(Behaviour::default());
    for at in (0..CROWD).step_by(97) {
        let request =
            tool.post(format!("{}v1/chat/completions", engine.url)).json::<Value>(&ask(MODEL, &question(at)));
        assert_eq!(texts[at], Answer::of(request).await.text(), "number {at} got another's words");
    }
    for node in [&gateway, &worker] {
        assert_eq!(node.get_json("/balance").await["totals"]["receipts"], CROWD);
        assert_eq!(node.home().assert_audit_is_clean().await["entries"], CROWD);
    }
}
