//! `lobstah demo`: a whole grid in one process, which touches nothing and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::BTreeSet, fs, path::Path};
use stories::{
    Answer, Home, Stream, ask_stream,
    client::{http, is_done},
    engine::{self, MODEL},
    json,
    process::Process,
};

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.display().to_string());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found
}

#[tokio::test]
async fn the_demo_shows_the_same_receipt_on_both_sides_and_leaves_nothing_behind() {
    let home = Home::new();
    home.write("identity.json", "not touched");
    let before = files(home.outside());
    let said = home.run(&["demo", "--practice"]).await.ok();
    for part in [
        "practice engine",
        "no model at all",
        "worker-1",
        "worker-2",
        "gateway",
        "Practice text",
        "the same bytes",
        "balance of",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert!(
        !said.stdout.contains('\x1b') && !said.stderr.contains("WARN") && !said.stderr.contains("ERROR"),
        "{}",
        said.stderr
    );
    assert_eq!(files(home.outside()), before);
    assert_eq!(fs::read_to_string(home.file("identity.json")).unwrap(), "not touched");
}

#[tokio::test]
async fn the_demo_uses_the_ollama_that_it_finds() {
    let engine = stories::engine();
    let home = Home::new().env("OLLAMA_HOST", &engine.addr.to_string());
    let said = home.run(&["demo", "--prompt", "hello there"]).await.ok();
    assert!(said.stdout.contains("Ollama at") && said.stdout.contains("you: hello there"), "{}", said.stdout);
    let bodies = engine::bodies(&engine);
    assert!(bodies.len() == 1 && bodies[0].contains("hello there"), "{bodies:?}");
}

/// Starts the demo that stays up, and gives its `OPENAI_BASE_URL`.
async fn served(home: &Home) -> (Process, String) {
    let mut demo = Process::start(home, &["demo", "--practice", "--serve"]);
    let url = demo
        .says("the base URL", |said| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix("export OPENAI_BASE_URL="))?;
            said.contains("stop with Ctrl-C").then(|| line.to_owned())
        })
        .await;
    (demo, url)
}

#[tokio::test]
async fn a_demo_that_serves_is_used_as_any_openai_server_until_it_is_stopped() {
    for signal in ["INT", "TERM"] {
        let home = Home::new();
        let before = files(home.outside());
        let (mut demo, url) = served(&home).await;
        let models = Answer::of(http().get(format!("{url}/models"))).await.json();
        assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == MODEL), "{models}");
        let request =
            http().post(format!("{url}/chat/completions")).header("content-type", "application/json");
        let mut question = ask_stream(MODEL, "hi");
        question["max_tokens"] = json!(3);
        assert!(is_done(&Stream::of(request.body(question.to_string())).await.rest().await));
        demo.signal(signal);
        demo.ended().await;
        let mut after = files(home.outside());
        after.retain(|file| !file.ends_with("/stdout") && !file.ends_with("/stderr"));
        assert_eq!(after, before, "{signal}: something was left behind");
    }
}

#[tokio::test]
async fn a_demo_whose_reader_has_seen_enough_leaves_nothing_behind_either() {
    let home = Home::new();
    let before = files(home.outside());
    let mut line = home.shell("\"$0\" demo --practice | head -n 1");
    line.arg(stories::binary::lobstah());
    let output = tokio::task::spawn_blocking(move || line.output().unwrap()).await.unwrap();
    assert!(output.status.success());
    assert_eq!(files(home.outside()), before);
}
