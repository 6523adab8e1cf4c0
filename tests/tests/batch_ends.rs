//! Batches that end before their time, or later than their owner likes: budgets, cancelling, slow last lines.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::HashSet, time::Duration};
use stories::{
    Answer,
    accounts::Accounts,
    ask,
    batches::{A_WHILE, lines_of, short_lines},
    engine::{MODEL, counts, pace},
    fleet::{Worker, books_agree, gateway_of, workers},
    json,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_never_spends_more_than_it_may() {
    const BUDGET: u64 = 1500;
    let [worker]: [Worker; 1] = workers().await;
    let gateway = gateway_of([&worker]).start().await;
    let metadata = json!({"max_credits": BUDGET.to_string()});
    let id = gateway.begin_batch(&short_lines(MODEL, 500), metadata).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_whole(500);
    assert_eq!(ended.error_codes(), HashSet::from(["max_credits_reached".to_owned()]));
    let owed = books_agree(&gateway, [&worker.node]).await;
    assert_eq!(owed, ended.tokens());
    assert!(owed <= BUDGET, "{owed}");
    assert!(owed > BUDGET / 2, "what a line reserves and does not use is spent on others: {owed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_stops_what_runs_and_pays_for_what_was_made() {
    let [worker]: [Worker; 1] = workers().await;
    let gateway = gateway_of([&worker]).start().await;
    // How fast it is becomes known by an answer; then time that was cut can be paid for.
    worker.engine.handle.set(pace(50, Duration::from_millis(2)));
    let measured = gateway.begin_batch(&lines_of([ask(MODEL, "how fast are you?")]), json!({})).await;
    let measured = gateway.batch_ended(&measured, A_WHILE).await;
    worker.engine.handle.set(pace(100_000, Duration::from_millis(20)));
    let bodies = (0..30).map(|n| ask(MODEL, &format!("on and on {n}")));
    let id = gateway.begin_batch(&lines_of(bodies), json!({})).await;
    counts(&worker.engine, "some lines", |counts| counts.in_flight == 8).await;
    let cancelled = Answer::of(gateway.post(&format!("/v1/batches/{id}/cancel"), "")).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    assert_eq!(ended.status(), "cancelled");
    ended.assert_whole(30);
    counts(&worker.engine, "the end of all", |counts| counts.in_flight == 0).await;
    let owed = books_agree(&gateway, [&worker.node]).await;
    let cut = Accounts::of(&gateway).await.cut();
    assert!(cut > 0, "what was made is paid");
    assert_eq!(owed, measured.tokens() + cut, "and nothing else");
    let shown = gateway.home().run(&["batch", "status", &id]).await.ok().stdout;
    assert!(shown.contains(&format!("{cut} credits ({cut} for cut or second answers)")), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_at_the_end_is_tried_at_an_idle_machine_where_its_owner_wants_that() {
    let [quick, slow]: [Worker; 2] = workers().await;
    slow.engine.handle.set(pace(100_000, Duration::from_millis(50)));
    let gateway = gateway_of([&quick, &slow]).start().await;
    let bodies = (0..30).map(|n| ask(MODEL, &format!("question {n}")));
    let id = gateway.begin_batch(&lines_of(bodies), json!({"hedge": "true"})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(30);
    assert!(slow.asked() > 0, "it had some lines");
    assert_eq!(quick.asked(), 30, "all of which the other answered");
    counts(&slow.engine, "its lines cancelled", |counts| counts.in_flight == 0).await;
    books_agree(&gateway, [&quick.node, &slow.node]).await;
}
