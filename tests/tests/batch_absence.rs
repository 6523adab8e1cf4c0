//! Batches whose workers are away, busy, or not heard: nothing is asked twice that waits somewhere, nobody is to
//! blame for being busy, and what may yet be charged is not spent on others.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Order, Signed, canonical::CanonicalBytes};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use stories::{
    Act, Answer, Node, RogueWorker, Value, ask,
    batches::{A_WHILE, lines_of},
    engine::{MODEL, pace},
    eventually, eventually_within,
    fleet::{Worker, books_agree, gateway_of, workers},
    forge::{answering, now, signed},
    json, rogue,
    rogue_worker::Asked,
};

/// A lease is never longer than an answer may take.
const SHORT_LEASES: &str = "answer_timeout = \"4s\"";

/// Longer than those, and than a machine pauses that does not sleep.
const ASLEEP_FOR: Duration = Duration::from_secs(10);

/// A line that may cost much.
fn long(line: usize) -> Value {
    let mut body = ask(MODEL, &format!("question {line}"));
    body["max_tokens"] = json!(2000);
    body
}

/// The job's id in a path, and the record of a job.
fn job_of(asked: &Asked<'_>) -> String {
    asked.request.path.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn record(id: &str, more: Value) -> Vec<Act> {
    let mut record = json!({"jobId": id, "createdAt": 1});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    vec![rogue::answer(200, "", &record.to_string())]
}

fn taken(order: &Signed<Order>) -> Vec<Act> {
    let taken = json!({"jobId": order.unverified().order_id, "status": "queued", "createdAt": 1});
    vec![rogue::answer(202, "", &taken.to_string())]
}

/// What a batch has spent, as its owner is shown, once nothing of it is unknown any more.
async fn spent(gateway: &Node, id: &str) -> u64 {
    eventually_within(A_WHILE, Duration::from_secs(1), "all that it spent is known", async || {
        let said = gateway.home().run(&["batch", "status", id]).await.ok().stdout;
        let words: Vec<&str> = said.split_whitespace().collect();
        let at = words.windows(2).position(|two| two[0] == "of" && two[1].parse::<u64>().is_ok())?;
        (!said.contains("not heard")).then(|| words[at - 1].parse().unwrap())
    })
    .await
}

/// A worker that answers each job at once, and cannot be asked for it before it is back.
async fn out_of_reach(is_back: &Arc<AtomicBool>) -> RogueWorker {
    let (is_back, orders) = (Arc::clone(is_back), Mutex::<HashMap<String, Signed<Order>>>::default());
    RogueWorker::start(move |asked| {
        let mut orders = orders.lock().unwrap();
        if asked.request.path == "/v1/jobs" {
            let order = asked.order();
            let acts = taken(&order);
            orders.insert(order.unverified().order_id.clone(), order);
            return acts;
        }
        let id = job_of(&asked);
        match orders.get(&id) {
            Some(_) if !is_back.load(Ordering::Relaxed) => vec![Act::Close],
            Some(order) => {
                let result: Value = serde_json::from_str(&rogue::completion("ready")).unwrap();
                let canonical = CanonicalBytes::of(&result).unwrap();
                let mut receipt = answering(order.unverified(), order.sha256(), canonical.as_bytes());
                let at = order.unverified().created_at;
                (receipt.started_at, receipt.completed_at) = (at, at);
                let receipt: Value = serde_json::from_str(&signed(receipt, asked.key)).unwrap();
                let done =
                    json!({"status": "done", "startedAt": 1, "result": result, "signedReceipt": receipt});
                record(&id, done)
            }
            None => vec![rogue::answer(200, "", r#"{"accepted":1,"refused":[]}"#)],
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_were_ready_while_the_lid_was_closed_are_fetched_when_their_worker_is_reached_again() {
    const LINES: usize = 4;
    let is_back = Arc::new(AtomicBool::new(false));
    let worker = out_of_reach(&is_back).await;
    let gateway = Node::gateway().rogue(&worker).route(SHORT_LEASES).start().await;
    let metadata = json!({"max_credits": "1000000"});
    let id = gateway.begin_batch(&lines_of((0..LINES).map(long)), metadata).await;
    let given = || worker.rogue.asked().iter().filter(|request| request.path == "/v1/jobs").count();
    eventually("it has all lines", async || (given() == LINES).then_some(())).await;
    gateway.process.signal("STOP");
    let closed = Instant::now();
    eventually("the lid was closed for long", async || (closed.elapsed() > ASLEEP_FOR).then_some(())).await;
    let asked = || worker.rogue.requests().len();
    let before = asked();
    gateway.process.signal("CONT");
    eventually("it is asked in vain", async || (asked() > before + 3 * LINES).then_some(())).await;
    is_back.store(true, Ordering::Relaxed);
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(LINES);
    assert_eq!(given(), LINES, "each was asked once");
    let spent = spent(&gateway, &id).await;
    eventually("the ledger has all that was spent", async || {
        (gateway.home().standing(worker.id()).await["owedByMe"] == spent).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_charges_that_was_not_heard_in_time_is_part_of_what_its_batch_spent() {
    const LINES: usize = 10;
    let held: Arc<Mutex<Option<Signed<Order>>>> = Arc::default();
    let away = RogueWorker::start(move |asked| {
        let mut held = held.lock().unwrap();
        match (asked.request.path.as_str(), held.as_ref()) {
            ("/v1/jobs", None) => taken(held.insert(asked.order())),
            ("/v1/jobs", Some(_)) => vec![rogue::error(429, "Retry-After: 60\r\n", "one is enough")],
            // It answered in time, and its line was down until the lease was over.
            (path, Some(order)) if path.starts_with("/v1/receipts/") && path != "/v1/receipts/ack" => {
                let terms = order.unverified();
                let result = CanonicalBytes::of(&json!({"choices": [1]})).unwrap();
                let mut receipt = answering(terms, order.sha256(), result.as_bytes());
                (receipt.started_at, receipt.completed_at) = (terms.created_at, terms.created_at);
                receipt.usage.output_tokens = 1000;
                let credits = protocol::Price::COMMON.charge(receipt.usage);
                receipt.answers.iter_mut().for_each(|answer| answer.credits = credits);
                vec![rogue::answer(200, "", &signed(receipt, asked.key))]
            }
            ("/v1/receipts/ack", _) => vec![rogue::answer(200, "", r#"{"accepted":1,"refused":[]}"#)],
            _ => vec![Act::Close],
        }
    })
    .await;
    let [honest]: [Worker; 1] = workers().await;
    honest.engine.handle.set(pace(5, Duration::from_millis(20)));
    let gateway = gateway_of([&honest]).rogue(&away).route(SHORT_LEASES).start().await;
    let id = gateway.begin_batch(&lines_of((0..LINES).map(long)), json!({"max_credits": "30000"})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(LINES);
    let shown = gateway.home().run(&["batch", "status", &id]).await.ok().stdout;
    assert!(shown.contains("not heard in the end"), "its owner is told of it: {shown}");
    let spent = spent(&gateway, &id).await;
    let owed = gateway.home().standing(away.id()).await["owedByMe"].as_u64().unwrap();
    assert_eq!(owed, 1003, "it did what was ordered, in time");
    assert_eq!(spent, owed + books_agree(&gateway, [&honest.node]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_before_its_job_or_is_not_heard_is_told_again() {
    /// Cancels by job; the first job is unknown to the first of them, the second hears none until it is back.
    type Cancels = HashMap<String, usize>;
    let told: Arc<Mutex<(Vec<String>, Cancels)>> = Arc::default();
    let (seen, is_back) = (Arc::clone(&told), Arc::new(AtomicBool::new(false)));
    let back = Arc::clone(&is_back);
    let worker = RogueWorker::start(move |asked| {
        let mut told = told.lock().unwrap();
        if asked.request.path == "/v1/jobs" {
            let order = asked.order();
            told.0.push(order.unverified().order_id.clone());
            return taken(&order);
        }
        let id = job_of(&asked);
        if asked.request.method != "DELETE" {
            return vec![Act::Pause(Duration::from_secs(1)), record_of_running(&id)];
        }
        let first = told.0.first() == Some(&id);
        let times = told.1.entry(id.clone()).or_default();
        *times += 1;
        match (first, *times) {
            (true, 1) => vec![rogue::error(404, "", "no such job")],
            (false, _) if !back.load(Ordering::Relaxed) => vec![Act::Close],
            _ => record(&id, json!({"status": "error", "error": {"type": "cancelled", "message": "it was"}})),
        }
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let id = gateway.begin_batch(&lines_of((0..2).map(long)), json!({})).await;
    eventually("both lines are there", async || (seen.lock().unwrap().0.len() == 2).then_some(())).await;
    let cancelled = Answer::of(gateway.post(&format!("/v1/batches/{id}/cancel"), "")).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    assert_eq!(gateway.batch_ended(&id, A_WHILE).await.status(), "cancelled");
    let times = |at: usize| {
        let seen = seen.lock().unwrap();
        seen.1.get(&seen.0[at]).copied().unwrap_or_default()
    };
    assert_eq!(times(0), 2, "it was asked again, and then it was there");
    let before = times(1);
    eventually("the other is told again", async || (times(1) > before + 1).then_some(())).await;
    is_back.store(true, Ordering::Relaxed);
    let heard = eventually("it hears", async || Some(times(1))).await;
    assert!(heard > before);
}

fn record_of_running(id: &str) -> Act {
    record(id, json!({"status": "running", "startedAt": 1})).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_busy_with_its_owner_for_long_fails_no_line() {
    const TIMES: usize = 10;
    let orders: Arc<Mutex<Vec<Signed<Order>>>> = Arc::default();
    let busy = RogueWorker::start(move |asked| {
        let mut orders = orders.lock().unwrap();
        if asked.request.path == "/v1/jobs" {
            let order = asked.order();
            let acts = taken(&order);
            orders.push(order);
            return acts;
        }
        let id = job_of(&asked);
        let Some(at) = orders.iter().position(|order| order.unverified().order_id == id) else {
            return vec![rogue::answer(404, "", "{}")];
        };
        let over = orders[at].unverified().answer_by.is_some_and(|by| now() >= by);
        let expired = json!({"type": "expired", "message": "its turn did not come"});
        match at + 1 < TIMES {
            true if over => record(&id, json!({"status": "error", "error": expired})),
            true => record(&id, json!({"status": "queued"})),
            false => {
                let result: Value = serde_json::from_str(&rogue::completion("at last")).unwrap();
                record(&id, json!({"status": "done", "startedAt": 1, "result": result}))
            }
        }
    })
    .await;
    let gateway = Node::gateway().rogue(&busy).route("answer_timeout = \"1s\"").start().await;
    let id = gateway.begin_batch(&lines_of([long(1)]), json!({})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(1);
    let asked = busy.rogue.asked().iter().filter(|request| request.path == "/v1/jobs").count();
    assert_eq!(asked, TIMES, "more often than a line is tried in vain");
}
