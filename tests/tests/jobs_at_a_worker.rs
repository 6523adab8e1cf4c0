//! A job that a worker has taken is done, told of and paid for once, or ended with a reason; whoever gave it
//! finds it again by its id (docs/protocol.md, section 13).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Credits, Order};
use reqwest::Method;
use std::{net::TcpListener, time::Duration};
use stories::{
    Answer, Engine, Node, Requester, Setup, Value, ask,
    client::http,
    engine::{Behaviour, MODEL, Trouble, bodies, counts, pace},
    eventually,
    forge::ahead,
    jobs::{accounted, ordered_submission, receipt_in, submission, unsigned},
    json,
};
use upstream_ollama::Practice;

/// A worker with one place in its engine, and whom its owner lends much to.
async fn worker(change: impl FnOnce(Setup) -> Setup) -> (Engine, Node, Requester) {
    let engine = stories::engine();
    let setup = Node::worker(&engine).set("worker.concurrency", "1").set("credit.anonymous", "0");
    let worker = change(setup).start().await;
    (engine, worker, Requester::new())
}

async fn lends(worker: &Node, requester: &Requester) {
    worker.home().run(&["credit", "lend", &requester.id().to_string(), "1000000"]).await.ok();
}

fn body(text: &str) -> Value {
    ask(MODEL, text)
}

/// The engine says nothing from now on, until it is released.
fn hang(engine: &Engine) {
    engine.handle.set(Behaviour::of(Trouble::Hang).times(1));
}

/// A job that has the only place.
async fn holding(engine: &Engine, worker: &Node, requester: &Requester) -> stories::jobs::Job {
    hang(engine);
    let before = engine.handle.counts().received;
    let job = requester.submit(worker, &body("hold the place")).await;
    counts(engine, "the job that holds it", |counts| counts.received > before).await;
    job
}

/// `(owedToMe, claimed, reserved)`
async fn books(worker: &Node, requester: &Requester) -> (u64, u64, u64) {
    let standing = worker.home().standing(requester.id()).await;
    let number = |name: &str| standing[name].as_u64().unwrap();
    (number("owedToMe"), number("claimed"), number("reserved"))
}

fn charged(record: &Value) -> u64 {
    receipt_in(record).answers.as_ref().unwrap().credits.get()
}

#[tokio::test]
async fn a_job_is_done_accounted_for_settled_and_then_its_result_is_forgotten() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    let mut request = body("once, please");
    request["metadata"] = json!({"line": "7"});
    let job = requester.submit(&worker, &request).await;
    let record = requester.once(&worker, &job.id, "done").await;
    assert_eq!(record["metadata"], json!({"line": "7"}));
    assert!(record["createdAt"].as_u64() <= record["startedAt"].as_u64());
    assert!(record["startedAt"].as_u64() <= record["completedAt"].as_u64());
    assert!(record["result"]["choices"][0]["message"]["content"].is_string());
    let receipt = accounted(&job, &record);
    assert!(receipt.usage.output_tokens > 0);
    let asked: Value = serde_json::from_str(&bodies(&engine)[0]).unwrap();
    assert_eq!(asked.get("metadata"), None, "it is not the engine's");
    assert_eq!(asked["max_tokens"], job.order.max_output_tokens, "no more is made than is paid for");
    assert_eq!(books(&worker, &requester).await, (0, charged(&record), 0));
    requester.settle(&worker, &job, &record).await;
    assert_eq!(books(&worker, &requester).await, (charged(&record), 0, 0));
    let left = requester.poll(&worker, &job.id).await.json();
    assert_eq!((&left["status"], left.get("result")), (&json!("done"), None));
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_job_is_shown_to_who_ordered_it_and_to_nobody_else() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    let job = holding(&engine, &worker, &requester).await;
    let other = Requester::new();
    for method in [Method::GET, Method::DELETE] {
        Answer::of(unsigned(&worker, method, &job.id)).await.error(401, "invalid_auth");
    }
    other.poll(&worker, &job.id).await.error(404, "not_found");
    other.cancel(&worker, &job.id).await.error(404, "not_found");
    requester.poll(&worker, "0b54f3f2-8f2c-4cda-8f0c-000000000000").await.error(404, "not_found");
    assert_eq!(requester.poll(&worker, &job.id).await.json()["status"], "running");
    engine.handle.release();
    requester.once(&worker, &job.id, "done").await;
}

#[tokio::test]
async fn the_same_order_again_is_the_same_job_whatever_became_of_it() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    let job = holding(&engine, &worker, &requester).await;
    let hold = body("hold the place");
    let again = async |status: &str| {
        let answer = Answer::of(ordered_submission(&worker, &hold, &job.order)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let answer = answer.json();
        assert_eq!((&answer["jobId"], &answer["status"]), (&json!(job.id), &json!(status)));
    };
    again("running").await;
    engine.handle.release();
    let record = requester.once(&worker, &job.id, "done").await;
    again("done").await;
    requester.settle(&worker, &job, &record).await;
    again("done").await;
    // Under the same id another order is another one, and the id is used.
    let changed = requester.sign(Order { max_output_tokens: 7, ..(*job.order).clone() });
    Answer::of(ordered_submission(&worker, &hold, &changed)).await.error(409, "order_already_used");
    // What was served as a request is no job.
    let served = requester.ask(&worker, &body("now")).await;
    served.receipt();
    let late = ordered_submission(&worker, &body("now"), &served.order);
    Answer::of(late).await.error(409, "order_already_used");
    assert_eq!(engine.handle.counts().received, 2);
}

#[tokio::test]
async fn the_same_order_many_times_at_once_is_one_job() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    let request = body("only once");
    let order = requester.sign(requester.order(worker.id, &request));
    let answers =
        futures::future::join_all((0..16).map(|_| Answer::of(ordered_submission(&worker, &request, &order))));
    for answer in answers.await {
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    requester.once(&worker, &order.order_id, "done").await;
    assert_eq!(engine.handle.counts().received, 1);
}

#[tokio::test]
async fn what_waits_is_cancelled_for_nothing_and_what_runs_is_cut_and_paid_for() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    // How fast the engine is must be known before time can be paid for.
    engine.handle.set(pace(50, Duration::from_millis(5)));
    let measured = requester.ask(&worker, &body("how fast are you?")).await;
    let before = measured.receipt().answers.as_ref().unwrap().credits.get();
    let runs = holding(&engine, &worker, &requester).await;
    let waits = requester.submit(&worker, &body("later")).await;
    let record = requester.cancel(&worker, &waits.id).await;
    assert_eq!(record.status, 200, "{}", record.body);
    assert_eq!(
        (&record.json()["status"], &record.json()["error"]["type"]),
        (&json!("error"), &json!("cancelled"))
    );
    assert_eq!(record.json().get("signedReceipt"), None);
    eventually("nothing is reserved but for what runs", async || {
        (books(&worker, &requester).await.2 == runs.order.max_credits.get()).then_some(())
    })
    .await;
    requester.cancel(&worker, &waits.id).await.error(409, "not_cancellable");

    // So that some time is there to be paid for.
    eventually("a second has passed in the engine", async || {
        let started = requester.poll(&worker, &runs.id).await.json()["startedAt"].as_u64().unwrap();
        (stories::forge::now().as_millis() > started + 300).then_some(())
    })
    .await;
    let record = requester.cancel(&worker, &runs.id).await;
    assert_eq!(record.status, 200, "{}", record.body);
    let record = record.json();
    assert_eq!((&record["status"], &record["error"]["type"]), (&json!("error"), &json!("cancelled")));
    let receipt = receipt_in(&record);
    let answer = receipt.answers.as_ref().unwrap();
    assert!(answer.cut && answer.estimated && receipt.usage.output_tokens > 0, "{receipt:?}");
    counts(&engine, "that nobody waits", |counts| counts.aborted == 1).await;
    assert_eq!(books(&worker, &requester).await, (0, before + answer.credits.get(), 0));
    requester.settle(&worker, &runs, &record).await;
    requester.cancel(&worker, &runs.id).await.error(409, "not_cancellable");
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn who_waits_for_a_job_hears_of_its_end_at_once() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    let job = holding(&engine, &worker, &requester).await;
    let soon = requester.poll_for(&worker, &job.id, 1).await.json();
    assert_eq!(soon["status"], "running", "as it is when the time is over");
    let waiting = requester.poll_for(&worker, &job.id, 30);
    let (waited, ()) = tokio::join!(waiting, async {
        eventually("somebody waits", async || {
            (worker.metric("lobstah_requests_open").await >= 1).then_some(())
        })
        .await;
        engine.handle.release();
    });
    let heard = stories::forge::now().as_millis();
    let record = waited.json();
    assert_eq!(record["status"], "done");
    let late = heard - record["completedAt"].as_u64().unwrap();
    assert!(late < 1000, "{late} ms after its end");
    for wait in [0, 31] {
        requester.poll_for(&worker, &job.id, wait).await.error(400, "invalid_value");
    }
}

#[tokio::test]
async fn jobs_of_those_who_wait_longest_go_first_and_live_requests_before_all_jobs() {
    let (engine, worker, greedy) = worker(|setup| setup).await;
    let modest = Requester::new();
    lends(&worker, &greedy).await;
    lends(&worker, &modest).await;
    let first = holding(&engine, &worker, &greedy).await;
    let mut jobs = Vec::new();
    for n in 0..6 {
        jobs.push(greedy.submit(&worker, &body(&format!("greedy {n}"))).await);
    }
    let theirs = modest.submit(&worker, &body("modest")).await;
    let capacity = Answer::of(http().get(worker.worker_url("/capacity"))).await.json();
    assert_eq!(capacity["jobCounts"], json!({"queued": 7, "running": 1, "done": 0, "error": 0}));
    assert_eq!(capacity["queueDepth"], 1, "who waits in the store waits for no place");
    let ask_now = body("live");
    let (live, ()) = tokio::join!(greedy.ask(&worker, &ask_now), async {
        eventually("the live request waits", async || {
            let capacity = Answer::of(http().get(worker.worker_url("/capacity"))).await.json();
            (capacity["queueDepth"] == 2).then_some(())
        })
        .await;
        engine.handle.release();
    });
    live.receipt();
    modest.once(&worker, &theirs.id, "done").await;
    greedy.once(&worker, &jobs[5].id, "done").await;
    greedy.once(&worker, &first.id, "done").await;
    let order: Vec<String> = bodies(&engine)
        .iter()
        .map(|body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["messages"][0]["content"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(order[..3], ["hold the place", "live", "modest"], "{order:?}");
    assert!(order[3..].iter().enumerate().all(|(n, text)| *text == format!("greedy {n}")), "{order:?}");
}

#[tokio::test]
async fn a_worker_leaves_its_engine_to_its_owner() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut owners = worker.stream(&stories::ask_stream(MODEL, "my own")).await;
    owners.next_data().await.unwrap();
    let job = requester.submit(&worker, &body("when you have time")).await;
    let still = requester.poll_for(&worker, &job.id, 2).await.json();
    assert_eq!(still["status"], "queued", "the only place is the owner's");
    assert_eq!(engine.handle.counts().received, 1);
    engine.handle.release();
    owners.rest().await;
    requester.once(&worker, &job.id, "done").await;
}

#[tokio::test]
async fn a_requester_has_so_many_jobs_waiting_and_no_more_and_all_of_them_survive() {
    const EACH: usize = 100;
    let (engine, worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    engine.handle.set(Behaviour::of(Trouble::Hang));
    let mut jobs = vec![requester.submit(&worker, &body("hold the place")).await];
    counts(&engine, "the first", |counts| counts.received == 1).await;
    for n in 0..EACH {
        jobs.push(requester.submit(&worker, &body(&format!("{n}"))).await);
    }
    let request = body("one too many");
    let order = requester.sign(requester.order(worker.id, &request));
    let refused = Answer::of(ordered_submission(&worker, &request, &order)).await;
    refused.error(429, "worker_busy");
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u64>().unwrap() > 0));
    let reserved: u64 = jobs.iter().map(|job| job.order.max_credits.get()).sum();
    eventually("what was refused reserves nothing", async || {
        (books(&worker, &requester).await == (0, 0, reserved)).then_some(())
    })
    .await;
    let worker = worker.start_again().await;
    eventually("all are there, and hold their credits", async || {
        (books(&worker, &requester).await == (0, 0, reserved)).then_some(())
    })
    .await;
    engine.handle.set(Behaviour::default());
    engine.handle.release();
    for job in &jobs {
        requester.once(&worker, &job.id, "done").await;
    }
    assert_eq!(books(&worker, &requester).await.2, 0);
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn after_kill_9_every_job_is_found_and_none_is_made_or_charged_twice() {
    let (engine, mut worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    let done = requester.submit(&worker, &body("done")).await;
    let before = requester.once(&worker, &done.id, "done").await;
    let runs = holding(&engine, &worker, &requester).await;
    let waits = requester.submit(&worker, &body("waits")).await;
    worker.kill();
    engine.handle.release();
    let worker = worker.start_again().await;
    assert_eq!(requester.poll(&worker, &done.id).await.json(), before);
    let mut owed = charged(&before);
    for job in [&runs, &waits] {
        let record = requester.once(&worker, &job.id, "done").await;
        accounted(job, &record);
        owed += charged(&record);
    }
    assert_eq!(engine.handle.counts().received, 4, "what ran was begun once more, and nothing else");
    assert_eq!(books(&worker, &requester).await, (0, owed, 0));
    assert_eq!(worker.home().receipts().await.len(), 3);
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_goes_on_with_its_jobs_when_it_is_started() {
    let (engine, mut worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    let runs = holding(&engine, &worker, &requester).await;
    let waits = requester.submit(&worker, &body("waits")).await;
    worker.terminate();
    assert!(worker.ended().await.success());
    engine.handle.release();
    let worker = worker.start_again().await;
    for job in [runs, waits] {
        accounted(&job, &requester.once(&worker, &job.id, "done").await);
    }
    assert_eq!(worker.home().receipts().await.len(), 2);
}

#[tokio::test]
async fn what_is_wanted_sooner_than_it_can_be_had_is_dropped_and_costs_nothing() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    let holds = holding(&engine, &worker, &requester).await;
    let request = body("soon");
    let by = |time: Duration| {
        let order = requester.order(worker.id, &request);
        requester.sign(Order { answer_by: Some(ahead(time)), ..order })
    };
    let late = requester.submit_order(&worker, &request, by(Duration::from_millis(500))).await;
    let record = requester.once(&worker, &late.id, "error").await;
    assert_eq!(record["error"]["type"], "expired");
    requester.cancel(&worker, &holds.id).await;
    // One that runs when its time is over is stopped.
    hang(&engine);
    let runs = requester.submit_order(&worker, &request, by(Duration::from_secs(2))).await;
    let record = requester.once(&worker, &runs.id, "error").await;
    assert_eq!((&record["error"]["type"], record.get("signedReceipt")), (&json!("expired"), None));
    // Three in a row would have the engine taken for broken, if it were at fault.
    for _ in 0..3 {
        hang(&engine);
        let hurried = requester.submit_order(&worker, &request, by(Duration::from_millis(400))).await;
        requester.once(&worker, &hurried.id, "error").await;
    }
    engine.handle.set(Behaviour::default());
    let patient = requester.submit(&worker, &request).await;
    let taken = requester.poll_for(&worker, &patient.id, 1).await.json();
    assert_eq!(taken["status"], "done", "the engine is as well as it was");
    let over = requester.sign(Order {
        answer_by: Some(stories::forge::ago(Duration::from_secs(1))),
        ..requester.order(worker.id, &request)
    });
    let refused = Answer::of(ordered_submission(&worker, &request, &over)).await;
    assert_eq!(refused.error(403, "order_refused")["param"], "answerBy");
    eventually("nobody owes anything", async || (books(&worker, &requester).await.2 == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn an_engine_that_breaks_is_asked_again_and_not_for_ever() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    lends(&worker, &requester).await;
    engine.handle.fail_next(2, 500);
    let job = requester.submit(&worker, &body("try hard")).await;
    accounted(&job, &requester.once(&worker, &job.id, "done").await);
    assert_eq!(engine.handle.counts().received, 3);
    engine.handle.fail_next(1, 400);
    let job = requester.submit(&worker, &body("wrong")).await;
    let record = requester.once(&worker, &job.id, "error").await;
    assert_eq!(record["error"]["type"], "invalid_request_error", "{record}");
    assert!(!record["error"]["message"].as_str().unwrap().is_empty());
    engine.handle.fail_next(3, 500);
    let job = requester.submit(&worker, &body("in vain")).await;
    let record = requester.once(&worker, &job.id, "error").await;
    assert_eq!(record["error"]["type"], "upstream_error");
    assert_eq!(worker.home().receipts().await.len(), 1, "nobody pays for what was not made");
    eventually("nothing is held", async || (books(&worker, &requester).await.2 == 0).then_some(())).await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for() {
    let address = stories::node::closed_port();
    let url = format!("\"http://{address}\"");
    let (_elsewhere, worker, requester) = worker(|setup| setup.set("ollama.url", &url)).await;
    let job = requester.submit(&worker, &body("when it is there")).await;
    let waits = requester.poll_for(&worker, &job.id, 1).await.json();
    assert_eq!(waits["status"], "queued");
    let engine = Practice::builder().serve(TcpListener::bind(address).unwrap()).unwrap();
    accounted(&job, &requester.once(&worker, &job.id, "done").await);
    assert_eq!(engine.handle.counts().received, 1);
}

#[tokio::test]
async fn what_no_job_can_be_is_refused_before_anything_is_reserved() {
    let (engine, worker, requester) = worker(|setup| setup).await;
    let mut streamed = body("hi");
    streamed["stream"] = json!(true);
    let mut tagged = body("hi");
    tagged["metadata"] = json!({"depth": {"of": "it"}});
    for (request, param) in [(streamed, "stream"), (tagged, "metadata")] {
        let order = requester.sign(requester.order(worker.id, &request));
        let refused = Answer::of(ordered_submission(&worker, &request, &order)).await;
        assert_eq!(refused.error(400, "invalid_value")["param"], param);
    }
    let twice = r#"{"model":"practice:8b","messages":[],"metadata":{},"metadata":{}}"#;
    let twice =
        http().post(worker.worker_url("/v1/jobs")).header("content-type", "application/json").body(twice);
    Answer::of(twice).await.error(400, "invalid_value");
    let elsewhere = submission(&worker, &body("hi")).header("x-lobstah-endpoint", "/v1/images");
    Answer::of(elsewhere).await.error(400, "invalid_value");
    Answer::of(submission(&worker, &ask("nobody:1b", "hi"))).await.error(404, "model_not_found");
    Answer::of(submission(&worker, &body("for nothing"))).await.error(402, "insufficient_credit");
    Answer::of(http().get(worker.worker_url("/v1/jobs"))).await.error(405, "method_not_allowed");
    let poor = requester
        .sign(Order { max_credits: Credits::saturating(1), ..requester.order(worker.id, &body("hi")) });
    Answer::of(ordered_submission(&worker, &body("hi"), &poor)).await.error(402, "insufficient_credit");
    assert_eq!(engine.handle.counts().received, 0);
    assert_eq!(books(&worker, &requester).await, (0, 0, 0));
}

#[tokio::test]
async fn a_plain_tool_gives_jobs_as_far_as_the_owner_allows_it_and_reads_them_by_their_id() {
    let (engine, worker, _) = worker(|setup| setup.set("credit.anonymous", "100000")).await;
    let taken = Answer::of(submission(&worker, &body("for anybody"))).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let taken = taken.json();
    assert_eq!(taken["status"], "queued");
    let id = taken["jobId"].as_str().unwrap();
    let poll = async |id: &str| Answer::of(unsigned(&worker, Method::GET, id)).await.json();
    let record =
        eventually("it is done", async || Some(poll(id).await).filter(|one| one["status"] == "done")).await;
    assert_eq!(record["createdAt"], taken["createdAt"]);
    assert_eq!(receipt_in(&record).requester.to_string(), "anonymous");
    let embed = json!({"model": MODEL, "input": "to numbers"});
    let embedding = submission(&worker, &embed).header("x-lobstah-endpoint", "/v1/embeddings");
    let id = Answer::of(embedding).await.json()["jobId"].as_str().unwrap().to_owned();
    let record =
        eventually("it is done", async || Some(poll(&id).await).filter(|one| one["status"] == "done")).await;
    assert!(record["result"]["data"][0]["embedding"].is_array(), "{record}");
    // Whoever has the id may take it back, and may not cut what runs.
    hang(&engine);
    let submit = async || {
        Answer::of(submission(&worker, &body("hm"))).await.json()["jobId"].as_str().unwrap().to_owned()
    };
    let (runs, waits) = (submit().await, submit().await);
    counts(&engine, "the one that runs", |counts| counts.received == 3).await;
    let delete = async |id: &str| Answer::of(unsigned(&worker, Method::DELETE, id)).await;
    delete(&runs).await.error(409, "not_cancellable");
    assert_eq!(delete(&waits).await.json()["error"]["type"], "cancelled");
    let worker = worker.start_again().await;
    engine.handle.release();
    let poll = async |id: &str| Answer::of(unsigned(&worker, Method::GET, id)).await.json();
    eventually("it is done", async || Some(poll(&runs).await).filter(|one| one["status"] == "done")).await;
    worker.home().assert_audit_is_clean().await;
}
