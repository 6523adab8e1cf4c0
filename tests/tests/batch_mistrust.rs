//! Batches among upstreams that cheat, are away, or will not have us: what their lines cost, and what becomes of
//! them.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Order, Signed};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use stories::{
    RogueWorker, Value, ask,
    batches::{A_WHILE, lines_of},
    engine::MODEL,
    eventually_within,
    fleet::{Worker, books_agree, gateway_of, workers},
    forge::{answering, signed},
    json, rogue,
};

/// A line that may cost much.
fn long(line: usize) -> Value {
    let mut body = ask(MODEL, &format!("question {line}"));
    body["max_tokens"] = json!(2000);
    body
}

/// What a rogue knows of a job.
struct Job {
    order: Signed<Order>,
    /// How many came before it.
    at: usize,
}

/// The credits that an order allows at most, claimed for this result.
fn claim(asked: &stories::rogue_worker::Asked<'_>, order: &Signed<Order>, result: &Value) -> String {
    let canonical = protocol::canonical::CanonicalBytes::of(result).unwrap();
    let mut receipt = answering(order.unverified(), order.sha256(), canonical.as_bytes());
    receipt.usage.input_tokens = order.unverified().max_input_tokens;
    receipt.usage.output_tokens = order.unverified().max_output_tokens;
    receipt.answers.iter_mut().for_each(|answer| answer.credits = order.unverified().max_credits);
    signed(receipt, asked.key)
}

/// Of three jobs it answers one with rubbish, fails at one, and answers one well without a receipt. Whoever asks
/// for its receipts gets them, for all that was ordered.
async fn claims_everything() -> RogueWorker {
    let jobs: Arc<Mutex<HashMap<String, Job>>> = Arc::default();
    RogueWorker::start(move |asked| {
        let mut jobs = jobs.lock().unwrap();
        let path = asked.request.path.split('?').next().unwrap();
        if path == "/v1/jobs" {
            let order = asked.order();
            let id = order.unverified().order_id.clone();
            let taken = json!({"jobId": id, "status": "queued", "createdAt": 1});
            let at = jobs.len();
            jobs.insert(id, Job { order, at });
            return vec![rogue::answer(202, "", &taken.to_string())];
        }
        let Some(job) = path.rsplit('/').next().and_then(|id| jobs.get(id)) else {
            return vec![rogue::answer(200, "", r#"{"accepted":1,"refused":[]}"#)];
        };
        let good: Value = serde_json::from_str(&rogue::completion("well")).unwrap();
        let result = if job.at % 3 == 0 { json!({"choices": []}) } else { good };
        if path.starts_with("/v1/receipts/") {
            return vec![rogue::answer(200, "", &claim(&asked, &job.order, &result))];
        }
        let record = match job.at % 3 {
            1 => json!({"status": "error", "error": {"type": "upstream_error", "message": "no"}}),
            _ => json!({"status": "done", "result": result}),
        };
        let mut record = record;
        record["jobId"] = json!(job.order.unverified().order_id);
        record["createdAt"] = json!(1);
        vec![rogue::answer(200, "", &record.to_string())]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_failures_and_answers_whose_receipt_was_kept_back_are_not_paid_as_ordered() {
    const LINES: usize = 60;
    let [honest]: [Worker; 1] = workers().await;
    let cheat = claims_everything().await;
    let gateway = gateway_of([&honest]).rogue(&cheat).start().await;
    let id = gateway.begin_batch(&lines_of((0..LINES).map(long)), json!({})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(LINES);
    let kept_back = cheat.rogue.asked().iter().filter(|request| request.path == "/v1/jobs").count() / 3;
    assert!(kept_back > 0, "it was tried");
    eventually_within(A_WHILE, Duration::from_secs(1), "its receipts are collected", async || {
        (gateway.receipts_counted("disputed").await >= kept_back as u64).then_some(())
    })
    .await;
    let standing = gateway.home().standing(cheat.id()).await;
    assert_eq!(standing["owedByMe"], 0, "{standing}");
    books_agree(&gateway, [&honest.node]).await;
}
