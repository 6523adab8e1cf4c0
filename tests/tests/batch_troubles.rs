//! What goes wrong while a batch runs, on either side, and what becomes of its lines and of the books.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::HashSet, time::Duration};
use stories::{
    Node, RogueWorker, Value, ask,
    batches::{A_WHILE, lines_of, short_lines},
    engine,
    engine::{Behaviour, MODEL, Trouble, counts, pace},
    fleet::{Worker, books_agree, gateway_of, orders_charged, workers},
    json, rogue,
};

/// A lease is never longer than an answer may take.
const SHORT_LEASES: &str = "answer_timeout = \"4s\"";

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_worker_that_dies_go_to_others_and_rubbish_is_no_answer() {
    const LINES: usize = 120;
    let [one, mut dies]: [Worker; 2] = workers().await;
    let rubbish = RogueWorker::start(|asked| match asked.request.method.as_str() {
        "POST" => vec![rogue::answer(202, "", r#"{"jobId":"x","status":"queued","createdAt":1}"#)],
        _ => vec![rogue::answer(200, "", r#"{"jobId":"x","status":"done","createdAt":1,"result":[1,2]}"#)],
    })
    .await;
    for worker in [&one, &dies] {
        worker.engine.handle.set(pace(3, Duration::from_millis(20)));
    }
    let gateway = gateway_of([&one, &dies]).rogue(&rubbish).route(SHORT_LEASES).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, LINES), json!({})).await;
    gateway.batch_reaches(&id, LINES as u64 / 3, A_WHILE).await;
    dies.node.kill();
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    assert!(!rubbish.rogue.asked().is_empty(), "it was tried");
    let dies = dies.node.start_again().await;
    let owed = books_agree(&gateway, [&one.node, &dies]).await;
    assert!(owed >= ended.tokens(), "what a dead worker had answered in time is paid: {owed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_goes_on_where_it_was_and_nothing_runs_twice() {
    const LINES: usize = 120;
    let workers: [Worker; 3] = workers().await;
    workers.iter().for_each(|worker| worker.engine.handle.set(pace(2, Duration::from_millis(20))));
    let mut gateway = gateway_of(&workers).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, LINES), json!({})).await;
    gateway.batch_reaches(&id, LINES as u64 * 2 / 3, A_WHILE).await;
    gateway.kill();
    let gateway = gateway.start_again().await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    let shares: Vec<u64> = workers.iter().map(Worker::asked).collect();
    assert_eq!(shares.iter().sum::<u64>(), LINES as u64, "{shares:?}");
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    assert_eq!(owed, ended.tokens());
    assert_eq!(orders_charged(&gateway).await, LINES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_leaves_jobs_to_their_workers_and_finds_the_answers_there() {
    let [worker]: [Worker; 1] = workers().await;
    worker.engine.handle.set(pace(20, Duration::from_millis(100)));
    let mut gateway = gateway_of([&worker]).start().await;
    let id = gateway.begin_batch(&lines_of((0..8).map(|n| ask(MODEL, &n.to_string()))), json!({})).await;
    counts(&worker.engine, "all lines", |counts| counts.received == 8).await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let gateway = gateway.start_again().await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(8);
    assert_eq!(worker.asked(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_has_is_its_lines_error_and_holds_up_no_others() {
    let engine = engine();
    let gateway = Node::gateway().ollama(&engine).route("to = [\"local\"]").start().await;
    let bodies = (1..=20).map(|n| ask(if n % 2 == 0 { "nobody-has:it" } else { MODEL }, "hello"));
    let id = gateway.begin_batch(&lines_of(bodies), json!({})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_whole(20);
    assert_eq!((ended.status(), ended.output.len()), ("completed", 10));
    assert_eq!(ended.error_codes(), HashSet::from(["model_not_found".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_peer_says_of_a_line_needs_a_second_voice_and_the_owners_engine_is_believed() {
    let refuses =
        RogueWorker::start(|_| vec![rogue::error(400, "", "this peer likes no request at all")]).await;
    let [honest]: [Worker; 1] = workers().await;
    let gateway = gateway_of([&honest]).rogue(&refuses).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, 20), json!({})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(20);
    assert!(!refuses.rogue.asked().is_empty());

    let engine = engine();
    engine.handle.set(Behaviour::of(Trouble::Fail { status: 400, body: None }));
    let alone = Node::gateway().ollama(&engine).start().await;
    let id = alone.begin_batch(&short_lines(MODEL, 3), json!({})).await;
    let ended = alone.batch_ended(&id, A_WHILE).await;
    ended.assert_whole(3);
    let refused = |line: &Value| line["response"]["status_code"] == 400;
    assert!(ended.errors.iter().all(refused), "{:?}", ended.errors);
    assert_eq!(engine.handle.counts().received, 3, "each was asked once");
}
