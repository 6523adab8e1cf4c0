//! Batches among upstreams that cheat, are away, or will not have us: what their lines cost, and what becomes of
//! them.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Order, Signed};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use stories::{
    Node, Rogue, RogueWorker, Setup, Value, ask,
    batches::{A_WHILE, lines_of, short_lines},
    engine::MODEL,
    eventually, eventually_within,
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

/// A server of the owner's, in whose list the batch's model is.
fn server(setup: Setup, server: &Rogue) -> Setup {
    let url = server.url();
    setup.table(&format!("[[upstreams]]\nname = \"cloud\"\nurl = \"{url}/v1\"\nmodels = [\"gpt-*\"]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_an_own_server_has_not_is_its_lines_error_and_is_not_asked_for_without_end() {
    const LINES: usize = 20;
    let cloud = Rogue::start(|_| vec![rogue::error(404, "", "The model `gpt-typo` does not exist")]).await;
    let gateway = server(Node::gateway(), &cloud).route("to = [\"cloud\"]").start().await;
    let id = gateway.begin_batch(&short_lines("gpt-typo", LINES), json!({})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_whole(LINES);
    assert_eq!(ended.error_codes(), HashSet::from(["model_not_found".to_owned()]), "{:?}", ended.errors);
    assert_eq!(cloud.asked().len(), 2 * LINES, "each was asked for twice, in case the server just started");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_counts_no_more_fails_no_line_and_its_server_is_left_alone_until_it_counts_again() {
    const LINES: usize = 200;
    let (good, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_good, count) = (Arc::clone(&good), Arc::clone(&refused));
    let cloud = Rogue::start(move |_| {
        if is_good.load(Ordering::Relaxed) {
            return vec![rogue::answer(200, "", &rogue::completion("welcome back"))];
        }
        count.fetch_add(1, Ordering::Relaxed);
        vec![rogue::error(401, "", "this key has expired")]
    })
    .await;
    let gateway = server(Node::gateway(), &cloud).route("to = [\"cloud\"]").start().await;
    let id = gateway.begin_batch(&short_lines("gpt-good", LINES), json!({})).await;
    let told = "an upstream will not have us";
    eventually("its owner is told", async || gateway.process.stderr().contains(told).then_some(())).await;
    // It is probed after rests that grow.
    let asked = || refused.load(Ordering::Relaxed);
    let first = eventually("it was asked", async || Some(asked()).filter(|asked| *asked > 0)).await;
    eventually("it is asked again", async || (asked() > first + 1).then_some(())).await;
    assert!(asked() < LINES, "{}", asked());
    good.store(true, Ordering::Relaxed);
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(LINES);
    assert_eq!(gateway.process.stderr().matches(told).count(), 1);
}
