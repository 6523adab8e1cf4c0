//! Batches run while nobody looks: each line once, in order, over all machines that will have it, and the books
//! of all of them agree.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::Duration;
use stories::{
    Answer, Node, ask,
    batches::{A_WHILE, lines_of, short_lines},
    engine,
    engine::{Behaviour, MODEL, Trouble, bodies, counts, pace},
    fleet::{Worker, books_agree, gateway_of, orders_charged, workers},
    json,
};

#[tokio::test]
async fn a_batch_runs_on_the_owners_engine_alone() {
    let engine = engine();
    let gateway = Node::gateway().ollama(&engine).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, 40), json!({})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(40);
    assert_eq!(engine.handle.counts().received, 40, "each line once");
    assert!(ended.tokens() > 0);
    assert_eq!(orders_charged(&gateway).await, 0, "nobody owes anybody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_spread_over_three_workers_and_the_books_agree() {
    const LINES: usize = 150;
    let workers: [Worker; 3] = workers().await;
    let gateway = gateway_of(&workers).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, LINES), json!({})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    let shares: Vec<u64> = workers.iter().map(Worker::asked).collect();
    assert_eq!(shares.iter().sum::<u64>(), LINES as u64, "{shares:?}");
    assert!(shares.iter().all(|share| *share > 0), "all of them worked: {shares:?}");
    let owed = books_agree(&gateway, workers.iter().map(|worker| &worker.node)).await;
    assert_eq!(owed, ended.tokens(), "a token is a credit");
    assert_eq!(orders_charged(&gateway).await, LINES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_by_a_worker_and_its_result_is_there_for_whoever_asks_later() {
    let [worker]: [Worker; 1] = workers().await;
    let gateway = gateway_of([&worker]).start().await;
    worker.engine.handle.set(Behaviour::of(Trouble::Hang));
    let mut body = ask(MODEL, "in your own time");
    body["metadata"] = json!({"mine": "yes"});
    let taken = Answer::of(gateway.post("/v1/jobs", body.to_string())).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let id = taken.json()["jobId"].as_str().unwrap().to_owned();
    counts(&worker.engine, "the job", |counts| counts.in_flight == 1).await;
    // One look, which is answered when the job has ended.
    let path = format!("/v1/jobs/{id}?wait=30");
    let (job, ()) = tokio::join!(gateway.get_json(&path), async { worker.engine.handle.release() });
    assert_eq!(job["status"], "done", "{job}");
    assert!(job["result"]["choices"][0]["message"]["content"].is_string(), "{job}");
    assert_eq!(job["metadata"], json!({"mine": "yes"}));
    let owed = books_agree(&gateway, [&worker.node]).await;
    assert_eq!(owed, job["result"]["usage"]["total_tokens"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_comes_before_the_lines_of_a_batch() {
    let engine = engine();
    engine.handle.set(pace(10, Duration::from_millis(30)));
    let gateway = Node::gateway().ollama(&engine).set("ollama.concurrency", "1").start().await;
    let id =
        gateway.begin_batch(&lines_of((0..40).map(|n| ask(MODEL, &format!("line {n}")))), json!({})).await;
    gateway.batch_reaches(&id, 2, A_WHILE).await;
    let answered = async || gateway.batch(&id).await["request_counts"]["completed"].as_u64().unwrap();
    for question in ["one", "two", "three"] {
        let before = answered().await;
        assert_eq!(gateway.answer(&ask(MODEL, question)).await.status, 200);
        let meanwhile = answered().await - before;
        assert!(meanwhile <= 2, "it waits for the line that runs, and not for {meanwhile}");
    }
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(40);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_open_alike_go_where_that_was_seen_before() {
    const CLERKS: usize = 8;
    let workers: [Worker; 2] = workers().await;
    workers.iter().for_each(|worker| worker.engine.handle.set(pace(1, Duration::from_millis(30))));
    let gateway = gateway_of(&workers).start().await;
    let body = |n: usize| {
        let system = format!("You are clerk number {}.", n % CLERKS);
        json!({"model": MODEL, "max_tokens": 1, "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": format!("question {n}")}]})
    };
    let id = gateway.begin_batch(&lines_of((0..240).map(body)), json!({})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(240);
    let had: Vec<Vec<String>> = workers.iter().map(|worker| bodies(&worker.engine)).collect();
    let of_clerk = |bodies: &[String], clerk: usize| {
        let asks = format!("You are clerk number {clerk}.");
        bodies.iter().filter(|body| body.contains(&asks)).count()
    };
    let together: usize =
        (0..CLERKS).map(|clerk| had.iter().map(|bodies| of_clerk(bodies, clerk)).max().unwrap()).sum();
    assert!(together > 144, "{together} of 240 lines were with most of their like; by chance it is some 135");
}
