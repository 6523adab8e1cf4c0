//! `lobstah batch run` from its beginning to its end, left and taken up again, and over a lid that was closed.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use stories::{
    Home, Node, Value,
    batches::{A_WHILE, short_lines},
    engine::{MODEL, counts, pace},
    eventually, eventually_within,
    fleet::{Worker, books_agree, gateway_of, orders_charged, workers},
    json,
    process::Process,
};

/// A shell of the node's owner, whose output is apart from the node's, and a file of so many lines.
fn shell_with_file(gateway: &Node, lines: usize) -> (Home, PathBuf) {
    let shell = Home::new().env("LOBSTAH_HOME", gateway.home().file("").to_str().unwrap());
    let file = shell.outside().join("questions.jsonl");
    fs::write(&file, short_lines(MODEL, lines)).unwrap();
    (shell, file)
}

/// The answers, one for each line and in the order of the input.
#[track_caller]
fn assert_answers(file: &Path, lines: usize) {
    let said = fs::read_to_string(file).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = said.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
    let expected: Vec<String> = (1..=lines).map(|n| format!("line-{n}")).collect();
    assert_eq!(ids, expected);
    assert!(said.iter().all(|line| line["response"]["status_code"] == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_writes_the_answers_in_order_and_says_in_plain_lines_how_it_went() {
    const LINES: usize = 40;
    let workers: [Worker; 2] = workers().await;
    let gateway = gateway_of(&workers).start().await;
    let (shell, file) = shell_with_file(&gateway, LINES);
    let file = file.to_str().unwrap();
    let said = shell.run(&["batch", "run", file]).await.ok();
    assert!(said.stdout.starts_with("completed: 40 of 40 lines answered, "), "{}", said.stdout);
    assert!(said.stdout.contains("questions.out.jsonl"), "{}", said.stdout);
    assert!(said.stderr.starts_with("batch_") && said.stderr.contains(", 40/40 lines, "), "{}", said.stderr);
    assert!(!said.stderr.contains(['\r', '\x1b']), "no bars where nobody looks: {:?}", said.stderr);
    assert_answers(&shell.outside().join("questions.out.jsonl"), LINES);
    assert!(!shell.outside().join("questions.out.errors.jsonl").exists());

    let answers = shell.outside().join("again.jsonl");
    let again = shell.run(&["batch", "run", file, "-o", answers.to_str().unwrap(), "--json"]).await.ok();
    let batch = again.json();
    assert_eq!(batch, gateway.batch(batch["id"].as_str().unwrap()).await, "as OpenAI shows it");
    assert!(said.stderr.contains(batch["id"].as_str().unwrap()), "it is the same batch");
    assert_answers(&answers, LINES);
    assert_eq!(orders_charged(&gateway).await, LINES, "nothing ran again");
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    assert_eq!(json!(owed), batch["usage"]["total_tokens"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_left_goes_on_without_its_owner_and_is_found_again() {
    const LINES: usize = 60;
    let [worker]: [Worker; 1] = workers().await;
    worker.engine.handle.set(pace(1, Duration::from_millis(300)));
    let gateway = gateway_of([&worker]).start().await;
    let (shell, file) = shell_with_file(&gateway, LINES);
    let file = file.to_str().unwrap();
    let mut run = Process::start(&shell, &["batch", "run", file]);
    counts(&worker.engine, "the first lines", |counts| counts.received > 8).await;
    run.signal("INT");
    assert_eq!(run.ended().await.code(), Some(1));
    let said = run.stderr();
    assert!(said.contains("the batch goes on") && said.contains(&format!("batch run {file}")), "{said}");
    let id = said.split_whitespace().next().unwrap().to_owned();
    let done = gateway.batch(&id).await["request_counts"]["completed"].as_u64().unwrap();
    gateway.batch_reaches(&id, done + 1, A_WHILE).await;

    let again = shell.run(&["batch", "run", file]).await.ok();
    assert!(again.stderr.starts_with(&format!("{id} goes on")), "{}", again.stderr);
    assert_answers(&shell.outside().join("questions.out.jsonl"), LINES);
    assert_eq!(worker.asked(), LINES as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_that_slept_finds_the_answers_when_it_wakes() {
    const LINES: usize = 40;
    const LEASE: Duration = Duration::from_secs(3);
    let workers: [Worker; 2] = workers().await;
    workers.iter().for_each(|worker| worker.engine.handle.set(pace(1, Duration::from_millis(500))));
    let gateway = gateway_of(&workers).route("answer_timeout = \"3s\"").start().await;
    let (shell, file) = shell_with_file(&gateway, LINES);
    let mut run = Process::start(&shell, &["batch", "run", file.to_str().unwrap()]);
    for worker in &workers {
        counts(&worker.engine, "its first lines", |counts| counts.in_flight == 8).await;
    }
    gateway.process.signal("STOP");
    let asleep = Instant::now();
    for worker in &workers {
        counts(&worker.engine, "nothing more to do", |counts| counts.in_flight == 0).await;
    }
    // Longer than any lease: nobody may take what was answered for lost.
    eventually("the leases are over", async || (asleep.elapsed() > LEASE * 2).then_some(())).await;
    gateway.process.signal("CONT");
    eventually_within(A_WHILE, Duration::from_millis(100), "the run ends", async || {
        run.has_ended().then_some(())
    })
    .await;
    assert!(run.ended().await.success(), "{}", run.stderr());
    assert_answers(&shell.outside().join("questions.out.jsonl"), LINES);
    let asked: u64 = workers.iter().map(Worker::asked).sum();
    assert_eq!(asked, LINES as u64, "nothing that has an answer runs again");
    books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
}
