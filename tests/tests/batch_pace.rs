//! How fast long batches run, and in how much memory: `bench/RESULTS.md` has the figures of a release build.
//! The whole of it takes minutes: only with `LOBSTAH_TEST_ALL=1`; without, a small cut of the same.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::{Duration, Instant};
use stories::{
    all_of_it,
    batches::short_lines,
    engine::MODEL,
    fleet::{Worker, books_agree, gateway_of, workers},
    json,
};

/// Of the gateway, at any time.
const RESIDENT_BYTES_MAX: u64 = 150 * 1024 * 1024;

/// What it may take more at the end than when a tenth was done: nothing is kept for a line that is over.
const GROWTH_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// On two cores that five processes share, in a build that is not optimised.
const PATIENCE: Duration = Duration::from_secs(1200);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_lines_run_through_three_workers_in_flat_memory() {
    let lines = std::env::var("LOBSTAH_LINES")
        .map_or(if all_of_it() { 50_000 } else { 1000 }, |lines| lines.parse().unwrap());
    let workers: [Worker; 3] = workers().await;
    let gateway = gateway_of(&workers).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, lines), json!({})).await;
    gateway.batch_reaches(&id, 1, PATIENCE).await;
    let begun = Instant::now();
    gateway.batch_reaches(&id, lines as u64 / 10, PATIENCE).await;
    let early = gateway.process.resident_bytes();
    gateway.batch_reaches(&id, lines as u64, PATIENCE).await;
    let rate = lines as f64 / begun.elapsed().as_secs_f64();
    let late = gateway.process.resident_bytes();
    let ended = gateway.batch_ended(&id, PATIENCE).await;
    let peak = gateway.process.peak_resident_bytes();
    let mib = |bytes: u64| bytes / (1024 * 1024);
    eprintln!(
        "{lines} lines: {rate:.0} a second; the gateway has {} MiB at a tenth, {} MiB at the end, {} MiB at most",
        mib(early),
        mib(late),
        mib(peak)
    );
    ended.assert_answered(lines);
    assert!(peak <= RESIDENT_BYTES_MAX, "{peak} bytes");
    assert!(late <= early + GROWTH_BYTES_MAX, "{early} bytes at a tenth, {late} at the end");
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    assert_eq!(owed, ended.tokens());
}
