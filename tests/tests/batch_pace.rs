//! How fast batches run, and in how much memory. Only with `LOBSTAH_TEST_ALL=1`, since it takes minutes.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::{Duration, Instant};
use stories::{
    batches::short_lines,
    engine::MODEL,
    fleet::{Worker, books_agree, gateway_of, workers},
    json,
};

const LINES: usize = 50_000;

/// On two cores that five processes share, in a build that is not optimised.
const LINES_A_SECOND_MIN: f64 = 100.0;

/// Of the gateway, with all lines waiting.
const RESIDENT_BYTES_MAX: u64 = 400 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_lines_run_through_three_workers_in_bounded_memory() {
    if std::env::var_os("LOBSTAH_TEST_ALL").is_none() {
        eprintln!("SKIPPED: set LOBSTAH_TEST_ALL=1");
        return;
    }
    let lines = std::env::var("LOBSTAH_LINES").map_or(LINES, |lines| lines.parse().unwrap());
    let workers: [Worker; 3] = workers().await;
    let gateway = gateway_of(&workers).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, lines), json!({})).await;
    gateway.batch_reaches(&id, 1, Duration::from_secs(60)).await;
    let begun = Instant::now();
    gateway.batch_reaches(&id, lines as u64, Duration::from_secs(1000)).await;
    let took = begun.elapsed().as_secs_f64();
    let resident = gateway.process.resident_bytes();
    let rate = lines as f64 / took;
    eprintln!("{lines} lines in {took:.1} s: {rate:.0} a second; {} MiB", resident / (1024 * 1024));
    let ended = gateway.batch_ended(&id, Duration::from_secs(120)).await;
    ended.assert_answered(lines);
    assert!(rate >= LINES_A_SECOND_MIN, "{rate:.0} lines a second");
    assert!(resident <= RESIDENT_BYTES_MAX, "{resident} bytes");
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    assert_eq!(owed, ended.tokens());
}
