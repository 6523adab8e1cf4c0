//! A requester's word on a receipt settles it, once and for good; nobody else's word does, and a requester's
//! no holds its own line and nothing else (SPEC section 4).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Ack, Keypair, ack::Verdict, canonical::sha256, limits::ACKS_MAX};
use stories::{
    Answer, Engine, Node, Requester, Value, ask,
    client::http,
    engine::MODEL,
    forge::now,
    json,
    requester::{Served, acknowledge},
    rogue_worker::new_key,
};

async fn worker() -> (Engine, Node) {
    let engine = stories::engine();
    let worker = Node::worker(&engine)
        .set("credit.anonymous", "0")
        .set("credit.newcomer_allowance", "10000")
        .set("credit.newcomer_pool_per_day", "100000")
        .start()
        .await;
    (engine, worker)
}

async fn served(worker: &Node, requester: &Requester) -> Served {
    let served = requester.ask(worker, &ask(MODEL, "What do you say to that?")).await;
    served.receipt();
    served
}

fn dispute() -> Verdict {
    Verdict::Dispute("it was not what I ordered".parse().ok())
}

/// `(owedToMe, claimed)`
async fn owes(worker: &Node, requester: &Requester) -> (u64, u64) {
    let standing = worker.home().standing(requester.id()).await;
    (standing["owedToMe"].as_u64().unwrap(), standing["claimed"].as_u64().unwrap())
}

#[track_caller]
fn refused(taken: &Value, why: &str) {
    assert_eq!(taken["accepted"], 0, "{taken}");
    let reason = taken["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
}

#[tokio::test]
async fn nobody_settles_a_receipt_but_who_ordered_it() {
    let (_engine, worker) = worker().await;
    let (requester, other) = (Requester::new(), Requester::new());
    let served = served(&worker, &requester).await;
    let receipt = served.receipt();
    let by = |key: &Keypair, order: [u8; 32], receipt: [u8; 32]| {
        let ack = Ack { order_sha256: order, receipt_sha256: receipt, verdict: Verdict::Ok, at: now() };
        ack.sign(key).unwrap()
    };
    let (order, signed) = (served.order.signed().sha256(), receipt.signed().sha256());
    let none = sha256(b"nothing");
    let forged = [
        (by(&other.key, order, signed), "bad signature"),
        (by(&new_key(), order, signed), "bad signature"),
        (by(&requester.key, none, signed), "never took"),
        (by(&requester.key, order, none), "another receipt"),
    ];
    for (ack, why) in &forged {
        refused(&acknowledge(&worker, std::slice::from_ref(ack)).await, why);
    }
    let charged = receipt.answers.as_ref().unwrap().credits.get();
    assert_eq!(owes(&worker, &requester).await, (0, charged), "it is claimed as before");
    // Bad ones spoil no good one beside them.
    let good = requester.word(&served.order, &receipt, Verdict::Ok);
    let mut all: Vec<_> = forged.into_iter().map(|(ack, _)| ack).collect();
    all.insert(2, good);
    let taken = acknowledge(&worker, &all).await;
    assert_eq!(taken["accepted"], 1, "{taken}");
    let places: Vec<&Value> = taken["refused"].as_array().unwrap().iter().map(|one| &one["index"]).collect();
    assert_eq!(places, [&json!(0), &json!(1), &json!(3), &json!(4)]);
    assert_eq!(owes(&worker, &requester).await, (charged, 0));
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_word_counts_once_and_an_ok_is_for_good_also_after_a_restart() {
    let (_engine, worker) = worker().await;
    let requester = Requester::new();
    let served = served(&worker, &requester).await;
    let (ok, no) = (Verdict::Ok, dispute());
    let [ok, no] = [ok, no].map(|verdict| requester.word(&served.order, &served.receipt(), verdict));
    let charged = served.receipt().answers.as_ref().unwrap().credits.get();
    let taken = json!({"accepted": 1, "refused": []});
    for _ in 0..3 {
        assert_eq!(acknowledge(&worker, std::slice::from_ref(&ok)).await, taken, "again is no error");
    }
    refused(&acknowledge(&worker, std::slice::from_ref(&no)).await, "a dispute after an ok is refused");
    let worker = worker.start_again().await;
    assert_eq!(acknowledge(&worker, std::slice::from_ref(&ok)).await, taken);
    refused(&acknowledge(&worker, &[no]).await, "a dispute after an ok is refused");
    assert_eq!(owes(&worker, &requester).await, (charged, 0), "it moved the balance once");
    assert_eq!(worker.home().run(&["receipts", "list", "--json"]).await.ok().json()[0]["state"], "settled");
}

#[tokio::test]
async fn who_disputes_to_get_work_for_nothing_gets_its_line_once() {
    let (_engine, worker) = worker().await;
    let requester = Requester::new();
    let mut disputed = 0;
    let last = loop {
        let served = requester.ask(&worker, &ask(MODEL, "for nothing, please")).await;
        if served.answer.status != 200 {
            break served.answer;
        }
        let no = requester.word(&served.order, &served.receipt(), dispute());
        assert_eq!(acknowledge(&worker, &[no]).await["accepted"], 1);
        disputed += served.receipt().answers.as_ref().unwrap().credits.get();
        assert!(disputed <= 10_000, "{disputed} credits for nothing");
    };
    let left = last.error(402, "insufficient_credit")["availableTokens"].as_u64().unwrap();
    assert_eq!(left, 10_000 - disputed, "what is disputed holds its line");
    assert_eq!(owes(&worker, &requester).await, (0, 0));
    let listed = worker.home().run(&["receipts", "list", "--json"]).await.ok().json();
    assert!(listed.as_array().unwrap().iter().all(|one| one["state"] == "disputed"), "{listed}");
    // An ok mends it.
    let exported = worker.home().run(&["receipts", "export"]).await.ok().stdout;
    assert!(
        exported.lines().all(|line| line.contains("\"verdict\":\"dispute\"")),
        "each is kept with its no"
    );
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_dispute_is_taken_back_with_an_ok() {
    let (_engine, worker) = worker().await;
    let requester = Requester::new();
    let served = served(&worker, &requester).await;
    let [no, ok] =
        [dispute(), Verdict::Ok].map(|verdict| requester.word(&served.order, &served.receipt(), verdict));
    assert_eq!(acknowledge(&worker, &[no]).await["accepted"], 1);
    assert_eq!(owes(&worker, &requester).await, (0, 0));
    assert_eq!(acknowledge(&worker, &[ok]).await["accepted"], 1);
    let charged = served.receipt().answers.as_ref().unwrap().credits.get();
    assert_eq!(owes(&worker, &requester).await, (charged, 0));
}

#[tokio::test]
async fn what_is_no_list_of_words_is_refused_whole() {
    let (_engine, worker) = worker().await;
    let send = async |body: String| {
        let request = http().post(worker.worker_url("/v1/receipts/ack"));
        Answer::of(request.header("content-type", "application/json").body(body)).await
    };
    let many = json!({"acks": vec![json!({}); ACKS_MAX + 1]}).to_string();
    for body in ["[]".into(), "{}".into(), r#"{"acks":{}}"#.into(), r#"{"acks":[],"acks":[]}"#.into(), many] {
        send(body).await.error(400, "invalid_value");
    }
    let long = send(format!(r#"{{"acks":["{}"]}}"#, "x".repeat(3 * 1024 * 1024))).await;
    long.error(413, "request_too_large");
    let rubbish = send(r#"{"acks":[null,1,{"ack":{}},{"ack":{"version":2},"signature":"00"}]}"#.into()).await;
    assert_eq!(rubbish.status, 200, "{}", rubbish.body);
    assert_eq!(rubbish.json()["refused"].as_array().unwrap().len(), 4);
}
