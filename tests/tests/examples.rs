//! The examples that people copy, run as they stand.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use stories::{
    Home,
    accounts::Accounts,
    batches::A_WHILE,
    engine::MODEL,
    fleet::{Worker, books_agree, gateway_of, workers},
    process::Process,
    sdks,
};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/literature-review")
}

/// The script's first run, in a folder of its own.
async fn review(base_url: &str) -> (Home, String) {
    let home = Home::new();
    let mut python = Command::new(sdks::installed(env!("CARGO_TARGET_TMPDIR")));
    python
        .arg(example().join("review.py"))
        .arg(example().join("texts"))
        .current_dir(home.outside())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.outside())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("OPENAI_BASE_URL", base_url)
        .env("OPENAI_API_KEY", "none")
        .env("MODEL", MODEL);
    let mut process = Process::of(&home, python);
    assert!(process.ended().await.success(), "{}", process.stderr());
    let review = fs::read_to_string(home.outside().join("review.md")).unwrap();
    (home, review)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_literature_review_has_every_text_and_costs_what_it_took_to_the_token() {
    let workers: [Worker; 3] = workers().await;
    let gateway = gateway_of(&workers).start().await;
    let (_home, review) = review(&gateway.url("/v1")).await;
    let texts: Vec<String> = fs::read_dir(example().join("texts"))
        .unwrap()
        .map(|text| text.unwrap().file_name().into_string().unwrap())
        .collect();
    let (written, summaries) = review.split_once("# Summaries").unwrap();
    assert!(written.trim_start_matches("# Review").trim().len() > 20, "{review}");
    for text in &texts {
        let (_, summary) = summaries.split_once(&format!("## {text}\n\n")).unwrap();
        let summary = summary.split("##").next().unwrap().trim();
        assert!(!summary.is_empty(), "{text}: {review}");
    }

    let batches = gateway.get_json("/v1/batches").await["data"].clone();
    let batch = gateway.batch_ended(batches[0]["id"].as_str().unwrap(), A_WHILE).await;
    assert_eq!((batch.status(), batch.output.len()), ("completed", texts.len()));
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    let accounts = Accounts::of(&gateway).await;
    let for_the_review = accounts.assert_answers_are_paid_once(&batch);
    assert_eq!(accounts.tokens(), owed, "a token is a credit");
    assert_eq!(owed, batch.tokens() + for_the_review);
    let asked: u64 = workers.iter().map(Worker::asked).sum();
    assert_eq!(asked, texts.len() as u64 + 1, "each text once, and the review");
    let balance = gateway.home().run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["self"]["spent"], owed, "{balance}");
}
