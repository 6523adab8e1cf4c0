//! A worker that dies at any step of a job: its requester asks again, and gets one answer for one charge, or
//! learns that nothing is owed.
//!
//! The steps are those of `gateway/src/fail_point.rs` that a job passes, and those of the work store, each
//! right before and right after it is kept.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::{StreamExt, stream};
use protocol::{Order, Verified};
use reqwest::Method;
use std::time::Duration;
use stories::{
    Engine, Node, Requester, Value, ask,
    client::http,
    engine::{Behaviour, MODEL, Trouble, pace},
    eventually,
    jobs::{Job, accounted, ordered_submission, receipt_in},
    requester::to_worker,
};
use tokio::time::timeout;

/// Of an order's way to its end.
const OF_A_JOB: [&str; 16] = [
    "order-admitted",
    "lent-queued",
    "lent-queued-done",
    "lent-begun",
    "lent-begun-done",
    "engine-asked",
    "receipt-signed",
    "lent-done",
    "lent-done-done",
    "receipt-claimed",
    "lent-claimed",
    "lent-claimed-done",
    "ack-received",
    "ack-taken",
    "lent-acknowledged",
    "lent-acknowledged-done",
];

/// Of one that the engine fails.
const OF_A_FAILURE: [&str; 2] = ["lent-back", "lent-back-done"];

/// Of one that is cancelled, while it waits or while it runs.
const OF_A_CANCELLATION: [&str; 2] = ["lent-cancelled", "lent-cancelled-done"];

/// Workers at once: most of their time is waiting.
const AT_ONCE: usize = 6;

/// For what a worker that dies does not answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

struct Doomed {
    point: &'static str,
    engine: Engine,
    worker: Node,
    requester: Requester,
    deaths: u32,
}

impl Doomed {
    async fn at(point: &'static str) -> Self {
        let engine = stories::engine();
        let setup = Node::worker(&engine).set("worker.concurrency", "1").env("LOBSTAH_FAIL_AT", point);
        let worker = setup.start().await;
        Self { point, engine, worker, requester: Requester::new(), deaths: 0 }
    }

    /// Starts the worker again if it has died, or is about to.
    async fn survive(self) -> Self {
        let Self { point, engine, mut worker, requester, deaths } = self;
        let status = worker.ended().await;
        assert!(!status.success(), "{point}: {status}");
        let worker = worker.start_again_with(|setup| setup.without_env("LOBSTAH_FAIL_AT")).await;
        Self { point, engine, worker, requester, deaths: deaths + 1 }
    }

    fn has_died(&mut self) -> bool {
        self.worker.process.has_ended()
    }

    fn sign(&self, body: &Value) -> Verified<Order> {
        self.requester.sign(self.requester.order(self.worker.id, body))
    }

    /// Submits as a gateway does: the same order until there is an answer, another one if that was used up.
    async fn submit(mut self, body: &Value) -> (Self, Job) {
        let mut order = self.sign(body);
        loop {
            let sent = timeout(ANSWERED_WITHIN, ordered_submission(&self.worker, body, &order).send()).await;
            match sent.ok().and_then(Result::ok).map(|answer| answer.status().as_u16()) {
                Some(202) => return (self, Job { id: order.order_id.clone(), order }),
                Some(409) => {
                    let receipt = self.requester.collect(&self.worker, &order.order_id).await;
                    receipt.error(404, "not_found");
                    order = self.sign(body);
                }
                Some(other) => panic!("{}: {other}", self.point),
                None => self = self.survive().await,
            }
        }
    }

    /// Polls until the job is over, through the worker's death if that comes.
    async fn over(mut self, job: &Job) -> (Self, Value) {
        loop {
            if self.has_died() {
                self = self.survive().await;
            }
            let question = self.requester.asks(&self.worker, Method::GET, &job.id, "?wait=5");
            let sent = timeout(ANSWERED_WITHIN, question.send()).await;
            let Some(answer) = sent.ok().and_then(Result::ok) else { continue };
            let status = answer.status();
            let Ok(record) = answer.json::<Value>().await else { continue };
            assert_eq!(status, 200, "{}: {record}", self.point);
            if record["completedAt"].is_u64() {
                return (self, record);
            }
        }
    }

    /// Acknowledges until that is heard.
    async fn settle(mut self, job: &Job, record: &Value) -> Self {
        let ack = self.requester.word(&job.order, &receipt_in(record), protocol::ack::Verdict::Ok);
        loop {
            let request = http().post(self.worker.worker_url("/v1/receipts/ack"));
            let request = request.header("content-type", "application/json");
            let sent = timeout(
                ANSWERED_WITHIN,
                request.body(protocol::ack::write_batch(std::slice::from_ref(&ack))).send(),
            )
            .await;
            match sent.ok().and_then(Result::ok) {
                Some(answer) => {
                    let taken: Value = answer.json().await.unwrap();
                    assert_eq!(taken["accepted"], 1, "{}: {taken}", self.point);
                    return self;
                }
                None => self = self.survive().await,
            }
        }
    }

    /// It died once; its one receipt is settled, and nothing is held.
    async fn assert_all_is_settled(&self) {
        let point = self.point;
        assert_eq!(self.deaths, 1, "{point}");
        let kept = self.worker.home().receipts().await;
        assert_eq!(kept.len(), 1, "{point}: {kept:?}");
        eventually(&format!("{point}: nothing is held"), async || {
            let standing = self.worker.home().standing(self.requester.id()).await;
            (standing["claimed"] == 0 && standing["reserved"] == 0).then_some(())
        })
        .await;
        self.worker.home().assert_audit_is_clean().await;
    }
}

async fn a_job_through_a_death_at(point: &'static str) {
    let (doomed, job) = Doomed::at(point).await.submit(&ask(MODEL, "come what may")).await;
    let (doomed, record) = doomed.over(&job).await;
    assert_eq!(record["status"], "done", "{point}: {record}");
    accounted(&job, &record);
    let doomed = doomed.settle(&job, &record).await;
    let made = doomed.engine.handle.counts().received;
    assert!((1..=2).contains(&made), "{point}: made {made} times");
    let left = doomed.requester.poll(&doomed.worker, &job.id).await.json();
    assert_eq!(left.get("result"), None, "{point}: what was acknowledged is not kept");
    doomed.assert_all_is_settled().await;
}

async fn a_failing_engine_through_a_death_at(point: &'static str) {
    let doomed = Doomed::at(point).await;
    doomed.engine.handle.fail_next(1, 500);
    let (doomed, job) = doomed.submit(&ask(MODEL, "come what may")).await;
    let (doomed, record) = doomed.over(&job).await;
    accounted(&job, &record);
    let doomed = doomed.settle(&job, &record).await;
    assert_eq!(doomed.engine.handle.counts().received, 2, "{point}");
    doomed.assert_all_is_settled().await;
}

async fn a_cancellation_through_a_death_at(point: &'static str) {
    let doomed = Doomed::at(point).await;
    doomed.worker.home().run(&["credit", "lend", &doomed.requester.id().to_string(), "1000000"]).await.ok();
    doomed.engine.handle.set(pace(50, Duration::from_millis(2)));
    // How fast the engine is, so that time can be paid for.
    let body = ask(MODEL, "how fast are you?");
    let order = doomed.sign(&body);
    let measured = to_worker(&doomed.worker, &body)
        .header("x-lobstah-order", protocol::carriers::to_header(order.signed()));
    assert_eq!(measured.send().await.unwrap().status(), 200);
    doomed.engine.handle.set(Behaviour::of(Trouble::Hang));
    let (doomed, runs) = doomed.submit(&ask(MODEL, "runs")).await;
    doomed.requester.once(&doomed.worker, &runs.id, "running").await;
    let (doomed, waits) = doomed.submit(&ask(MODEL, "waits")).await;
    let mut doomed = doomed;
    for job in [&waits, &runs] {
        loop {
            let word = doomed.requester.asks(&doomed.worker, Method::DELETE, &job.id, "");
            let sent = timeout(ANSWERED_WITHIN, word.send()).await;
            match sent.ok().and_then(Result::ok).map(|answer| answer.status().as_u16()) {
                // Cancelled before, and it died before it could say so.
                Some(200 | 409) => break,
                Some(other) => panic!("{point}: {other}"),
                None => doomed = doomed.survive().await,
            }
        }
        let (alive, record) = doomed.over(job).await;
        doomed = alive;
        assert_eq!(record["error"]["type"], "cancelled", "{point}: {record}");
        if record["signedReceipt"].is_object() {
            doomed = doomed.settle(job, &record).await;
        }
    }
    assert_eq!(doomed.deaths, 1, "{point}");
    eventually(&format!("{point}: nothing is held"), async || {
        let standing = doomed.worker.home().standing(doomed.requester.id()).await;
        (standing["reserved"] == 0).then_some(())
    })
    .await;
    doomed.worker.home().assert_audit_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_and_charged_once_wherever_its_worker_dies() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: this build has no places to fail at");
        return;
    }
    stream::iter(OF_A_JOB).for_each_concurrent(AT_ONCE, a_job_through_a_death_at).await;
    stream::iter(OF_A_FAILURE).for_each_concurrent(AT_ONCE, a_failing_engine_through_a_death_at).await;
    stream::iter(OF_A_CANCELLATION).for_each_concurrent(AT_ONCE, a_cancellation_through_a_death_at).await;
}
