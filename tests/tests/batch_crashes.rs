//! A crash at any step of a line's life, at the gateway or at its worker: after the restart every line has one
//! answer, nothing is charged twice, and both books agree.
//!
//! The process ends itself at a named place (`work/src/step.rs`, `gateway/src/fail_point.rs`), which is as good as
//! `kill -9` there. Builds for users have no such places. The whole matrix runs with `LOBSTAH_TEST_ALL=1`, the
//! steps at which money or an answer could be lost always.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::{StreamExt, stream};
use std::{fs, path::Path};
use stories::{
    Home, Node,
    accounts::Accounts,
    all_of_it,
    batches::{A_WHILE, Ended, short_lines},
    engine::MODEL,
    eventually_within,
    fleet::{Worker, books_agree, gateway_of, orders_charged},
    json,
    process::Process,
};

/// At the gateway, before and after every step of a line that leaves something on the disk or on the wire, in
/// their order. The second time it comes there, so that some of the batch is done.
const OF_A_LINE: [&str; 9] = [
    "task-leased:2",
    "task-leased-done:2",
    "order-placed:2",
    "order-sent:2",
    "lease-closed:2",
    "lease-closed-done:2",
    "receipt-received:2",
    "receipt-kept:2",
    "ack-sent",
];

/// At the gateway, what comes once for all lines: before, after and beside them.
const OF_A_BATCH: [&str; 20] = [
    "upload-begun",
    "upload-begun-done",
    "upload-named-done",
    "file-kept",
    "file-kept-done",
    "batch-created",
    "batch-created-done",
    "lines-queued",
    "lines-queued-done",
    "batch-validated",
    "batch-validated-done",
    "files-reserved",
    "files-reserved-done",
    "output-named-done",
    "batch-ended",
    "batch-ended-done",
    "ack-due",
    "ack-noted",
    "swept:6",
    "swept-done:6",
];

/// At the worker, where an answer is made, or money: always.
const OF_AN_ANSWER: [&str; 3] = ["lent-queued-done:2", "lent-done-done:2", "receipt-claimed:2"];

/// At the worker, all others.
const OF_A_JOB: [&str; 13] = [
    "order-admitted:2",
    "lent-queued:2",
    "lent-begun:2",
    "lent-begun-done:2",
    "engine-asked:2",
    "receipt-signed:2",
    "lent-done:2",
    "lent-claimed:2",
    "lent-claimed-done:2",
    "ack-received",
    "ack-taken",
    "lent-acknowledged",
    "lent-acknowledged-done",
];

/// Worlds at once: most of their time is waiting.
const AT_ONCE: usize = 5;

const LINES: usize = 24;

/// Runs the same command until it succeeds, as an owner would whose node has died.
async fn run_until_done(shell: &Home, file: &Path, first: Process) {
    const TIMES_MAX: usize = 3;
    let mut run = first;
    for _ in 0..TIMES_MAX {
        let look_every = std::time::Duration::from_millis(50);
        let over = async || run.has_ended().then_some(());
        eventually_within(A_WHILE, look_every, "the run ends", over).await;
        if run.ended().await.success() {
            return;
        }
        run = Process::start(shell, &["batch", "run", file.to_str().unwrap()]);
    }
    panic!("it never went well: {}", run.stderr());
}

async fn assert_all_is_as_if_nothing_had_been(place: &str, gateway: &Node, worker: &Worker, ended: &Ended) {
    ended.assert_answered(LINES);
    let owed = books_agree(gateway, [&worker.node]).await;
    assert_eq!(owed, ended.tokens(), "{place}");
    let accounts = Accounts::of(gateway).await;
    assert_eq!(
        accounts.assert_answers_are_paid_once(ended),
        0,
        "{place}: nothing is paid beside the answers"
    );
    assert_eq!(Accounts::of(&worker.node).await.total(), owed, "{place}");
    assert_eq!(orders_charged(gateway).await, LINES, "{place}");
}

async fn a_crash_of_the_gateway_at(place: &str) {
    let worker = Worker::start().await;
    let mut gateway = gateway_of([&worker]).env("LOBSTAH_FAIL_AT", place).start().await;
    let shell = Home::new().env("LOBSTAH_HOME", gateway.home().file("").to_str().unwrap());
    let file = shell.outside().join("lines.jsonl");
    fs::write(&file, short_lines(MODEL, LINES)).unwrap();
    let run = Process::start(&shell, &["batch", "run", file.to_str().unwrap()]);
    let status = gateway.ended().await;
    assert!(!status.success(), "{place}: {status}");
    let gateway = gateway.start_again_with(|setup| setup.without_env("LOBSTAH_FAIL_AT")).await;
    run_until_done(&shell, &file, run).await;
    let batches = gateway.get_json("/v1/batches").await["data"].as_array().unwrap().clone();
    assert_eq!(batches.len(), 1, "{place}: the same run is the same batch");
    let ended = gateway.batch_ended(batches[0]["id"].as_str().unwrap(), A_WHILE).await;
    assert_eq!(worker.asked(), LINES as u64, "{place}: what has an answer does not run again");
    assert_all_is_as_if_nothing_had_been(place, &gateway, &worker, &ended).await;
}

async fn a_crash_of_the_worker_at(place: &str) {
    let mut worker = Worker::with(|setup| setup.env("LOBSTAH_FAIL_AT", place)).await;
    let gateway = gateway_of([&worker]).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, LINES), json!({})).await;
    let status = worker.node.ended().await;
    assert!(!status.success(), "{place}: {status}");
    worker.node = worker.node.start_again_with(|setup| setup.without_env("LOBSTAH_FAIL_AT")).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    assert_all_is_as_if_nothing_had_been(place, &gateway, &worker, &ended).await;
}

fn can_crash() -> bool {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: this build has no places to fail at");
    }
    cfg!(debug_assertions)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_and_both_books_agree_after_a_crash_of_the_gateway_at_any_step() {
    if can_crash() {
        let others: &[&str] = if all_of_it() { &OF_A_BATCH } else { &[] };
        let places = OF_A_LINE.iter().chain(others);
        stream::iter(places).for_each_concurrent(AT_ONCE, |place| a_crash_of_the_gateway_at(place)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paid_twice_and_both_books_agree_after_a_crash_of_the_worker_at_any_step() {
    if can_crash() {
        let others: &[&str] = if all_of_it() { &OF_A_JOB } else { &[] };
        let places = OF_AN_ANSWER.iter().chain(others);
        stream::iter(places).for_each_concurrent(AT_ONCE, |place| a_crash_of_the_worker_at(place)).await;
    }
}
