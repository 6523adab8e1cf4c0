//! A receipt is kept only if it is what the worker that was asked owes us (SPEC section 3). One that
//! is not is refused, counted and logged, and the answer reaches the tool all the same.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Body, Keypair, Requester};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use stories::{
    Node, RogueWorker, Stream, World, ask, ask_stream,
    client::{is_done, text_of},
    engine::{MODEL, UsageStyle},
    forge::{self, ago, ahead, carried, now, signed, signed_by, signed_value},
    json, rogue,
    rogue_worker::{Asked, new_key},
};

/// What is wrong with a receipt, and how the refusal is counted.
const BAD: [(&str, &str); 15] = [
    ("tampered", "bad_signature"),
    ("signed by another key", "bad_signature"),
    ("from another worker", "wrong_worker"),
    ("for another requester", "wrong_requester"),
    ("for nobody", "wrong_requester"),
    ("stale", "stale"),
    ("from the future", "stale"),
    ("not base64", "malformed"),
    ("not json", "malformed"),
    ("a key twice", "malformed"),
    ("no receipt", "malformed"),
    ("negative tokens", "malformed"),
    ("short signature", "malformed"),
    ("too long", "malformed"),
    ("another version", "unsupported_version"),
];

/// The receipt that is asked for by its name.
fn forge(kind: &str, asked: &Asked<'_>) -> Option<String> {
    let (key, me) = (asked.key, asked.key.node_id());
    let good = || forge::receipt(me, asked.requester(), now());
    let with = |field: &str, value: stories::Value| {
        let mut receipt = good().to_value();
        receipt[field] = value;
        signed_value(&receipt, key)
    };
    let stranger = new_key();
    let json = match kind {
        "good" => signed(good(), key),
        "good, with a field that nobody knows" => with("extra", json!({"b": [1.5, "ü"]})),
        "good, almost five minutes old" => {
            signed(forge::receipt(me, asked.requester(), ago(Duration::from_secs(290))), key)
        }
        "good, from a clock that is ahead" => {
            signed(forge::receipt(me, asked.requester(), ahead(Duration::from_secs(290))), key)
        }
        "tampered" => signed(good(), key).replace("\"outputTokens\":5", "\"outputTokens\":4"),
        "signed by another key" => signed_by(&good(), &stranger),
        "from another worker" => {
            signed(forge::receipt(stranger.node_id(), asked.requester(), now()), &stranger)
        }
        "for another requester" => {
            signed(forge::receipt(me, Requester::Node(stranger.node_id()), now()), key)
        }
        "for nobody" => signed(forge::receipt(me, Requester::Anonymous, now()), key),
        "stale" => signed(forge::receipt(me, asked.requester(), ago(Duration::from_secs(310))), key),
        "from the future" => {
            signed(forge::receipt(me, asked.requester(), ahead(Duration::from_secs(330))), key)
        }
        "not base64" => return Some("this is *not* base64".into()),
        "not json" => "{".into(),
        "a key twice" => {
            signed(good(), key).replace("\"outputTokens\":5", "\"outputTokens\":5,\"outputTokens\":5")
        }
        "no receipt" => "{\"signature\":\"00\"}".into(),
        "negative tokens" => with("outputTokens", json!(-1)),
        "short signature" => signed(good(), key).replace("\"}", "").trim_end_matches('0').to_owned() + "\"}",
        "too long" => with("extra", json!("x".repeat(70_000))),
        "another version" => with("version", json!(2)),
        "missing" => return None,
        other => panic!("{other}"),
    };
    Some(carried(&json))
}

/// An answer with this receipt, as the request wants it.
fn served(asked: &Asked<'_>, receipt: Option<String>) -> Vec<stories::Act> {
    if asked.request.json()["stream"] == true {
        let comment = receipt.map_or(String::new(), |receipt| format!(":lobstah-receipt:{receipt}\n\n"));
        let end = rogue::say(format!("{comment}data: [DONE]\n\n"));
        return vec![rogue::stream_head(), rogue::words("served"), end, stories::Act::Close];
    }
    let header = receipt.map_or(String::new(), |receipt| format!("x-lobstah-receipt: {receipt}\r\n"));
    vec![rogue::answer(200, &header, &rogue::completion("served"))]
}

/// A worker that gives the receipt that the prompt names.
async fn forger() -> (RogueWorker, Node) {
    let worker = RogueWorker::start(|asked| {
        let kind = asked.request.json()["messages"][0]["content"].as_str().unwrap().to_owned();
        served(&asked, forge(&kind, &asked))
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    (worker, gateway)
}

async fn whole(gateway: &Node, kind: &str) -> Option<String> {
    let answer = gateway.answer(&ask(MODEL, kind)).await;
    assert_eq!(answer.text(), "served", "{kind}");
    assert_eq!(answer.header("x-lobstah-attempts"), Some("1"), "{kind}");
    answer.header("x-lobstah-receipt").map(str::to_owned)
}

async fn streamed(gateway: &Node, kind: &str) {
    let events = gateway.stream(&ask_stream(MODEL, kind)).await.rest().await;
    assert!(is_done(&events) && text_of(&events) == "served", "{kind}: {events:?}");
    assert!(events.iter().all(|event| !event.text.contains("lobstah-receipt")), "{kind}: {events:?}");
}

#[tokio::test]
async fn a_bad_receipt_of_a_whole_answer_is_refused_and_the_answer_arrives() {
    let (worker, gateway) = forger().await;
    for (kind, label) in BAD {
        let counted = gateway.receipts_counted(label).await;
        let passed = whole(&gateway, kind).await;
        assert_eq!(passed, None, "{kind}: what was refused is not passed on");
        assert_eq!(gateway.receipts_counted(label).await, counted + 1, "{kind}");
        assert!(gateway.process.stderr().contains("a receipt was refused"), "{kind}");
    }
    whole(&gateway, "missing").await;
    assert_eq!(gateway.receipts_counted("missing").await, 1);
    assert_eq!(gateway.receipts_counted("accepted").await, 0);
    assert_eq!(gateway.home().receipts().await.len(), 0, "nothing refused is in the ledger");
    // A refused receipt does not make the worker unhealthy.
    let peers = gateway.home().run(&["peers", "list", "--json"]).await.ok().json();
    assert_eq!((&peers[0]["pubkey"], &peers[0]["state"]), (&json!(worker.id()), &json!("admitting")));
}

#[tokio::test]
async fn a_bad_receipt_in_a_stream_is_refused_and_the_stream_ends_well() {
    let (_worker, gateway) = forger().await;
    for (kind, label) in BAD {
        let counted = gateway.receipts_counted(label).await;
        streamed(&gateway, kind).await;
        assert_eq!(gateway.receipts_counted(label).await, counted + 1, "{kind}");
    }
    streamed(&gateway, "missing").await;
    assert_eq!(gateway.receipts_counted("missing").await, 1);
    assert_eq!(gateway.home().receipts().await.len(), 0);
}

#[tokio::test]
async fn a_good_receipt_is_kept_and_passed_on() {
    let (_worker, gateway) = forger().await;
    let good = [
        "good",
        "good, with a field that nobody knows",
        "good, almost five minutes old",
        "good, from a clock that is ahead",
    ];
    for kind in good {
        let passed = whole(&gateway, kind).await.unwrap_or_else(|| panic!("{kind}"));
        let kept = gateway.home().receipts().await;
        assert_eq!(forge::uncarried(&passed)["receipt"], kept[0]["receipt"], "{kind}");
        streamed(&gateway, kind).await;
    }
    assert_eq!(gateway.receipts_counted("accepted").await, 8);
    assert_eq!(gateway.home().receipts().await.len(), 8);
    gateway.home().assert_audit_is_clean().await;
}

/// A worker that gives what `next` makes of the first receipt that it ever gave.
async fn replayer(next: impl Fn(&str, &Keypair) -> String + Send + Sync + 'static) -> (RogueWorker, Node) {
    let first: Arc<Mutex<Option<String>>> = Arc::default();
    let worker = RogueWorker::start(move |asked| {
        let mut first = first.lock().unwrap();
        let receipt = match &*first {
            None => first
                .insert(signed(forge::receipt(asked.key.node_id(), asked.requester(), now()), asked.key))
                .clone(),
            Some(first) => next(first, asked.key),
        };
        served(&asked, Some(carried(&receipt)))
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    (worker, gateway)
}

#[tokio::test]
async fn a_receipt_counts_once_however_often_it_comes_and_also_after_a_restart() {
    let (_worker, gateway) = replayer(|first, _| first.to_owned()).await;
    assert!(whole(&gateway, "first").await.is_some());
    assert_eq!(whole(&gateway, "again").await, None);
    streamed(&gateway, "and again").await;
    assert_eq!(gateway.receipts_counted("replayed").await, 2);
    let gateway = gateway.start_again().await;
    assert_eq!(whole(&gateway, "do you remember?").await, None);
    assert_eq!(gateway.receipts_counted("replayed").await, 1);
    assert_eq!(gateway.home().receipts().await.len(), 1);
    assert_eq!(gateway.get_json("/balance").await["self"]["spent"], 8);
}

#[tokio::test]
async fn a_nonce_that_was_seen_makes_no_second_receipt() {
    let next = |first: &str, key: &Keypair| {
        let mut receipt = serde_json::from_str::<stories::Value>(first).unwrap()["receipt"].clone();
        receipt["jobId"] = json!(uuid::Uuid::new_v4().to_string());
        receipt["outputTokens"] = json!(6);
        signed_value(&receipt, key)
    };
    let (_worker, gateway) = replayer(next).await;
    assert!(whole(&gateway, "first").await.is_some());
    assert_eq!(whole(&gateway, "another job, the same nonce").await, None);
    assert_eq!(gateway.receipts_counted("replayed").await, 1);
    assert_eq!(gateway.get_json("/balance").await["self"]["spent"], 8);
}

#[tokio::test]
async fn a_receipt_counts_for_no_more_tokens_than_bytes_that_were_moved() {
    let worker = RogueWorker::start(|asked| {
        let mut receipt = forge::receipt(asked.key.node_id(), asked.requester(), now());
        receipt.usage.output_tokens = 9_000_000_000;
        served(&asked, Some(carried(&signed(receipt, asked.key))))
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    whole(&gateway, "how much is that?").await;
    let spent = gateway.get_json("/balance").await["self"]["spent"].as_u64().unwrap();
    assert!(spent < 2000, "{spent} tokens of debt for an exchange of a few hundred bytes");
}

#[tokio::test]
async fn a_worker_signs_what_the_engine_counted_even_if_that_is_nothing() {
    let world = World::start().await;
    let behaviour = stories::engine::Behaviour { usage: UsageStyle::Omitted, ..Default::default() };
    world.engine.handle.set(behaviour);
    assert!(world.gateway.answer(&ask(MODEL, "count nothing")).await.header("x-lobstah-receipt").is_some());
    let kept = world.gateway.home().receipts().await;
    assert_eq!(kept[0]["receipt"]["outputTokens"], 0);
    assert_eq!(world.worker.home().receipts().await, kept);
}

#[tokio::test]
async fn work_for_a_plain_tool_is_signed_for_nobody() {
    let world = World::start().await;
    let request = stories::client::http().post(world.worker.worker_url("/v1/chat/completions"));
    let request =
        request.header("content-type", "application/json").body(ask_stream(MODEL, "hi").to_string());
    assert!(is_done(&Stream::of(request).await.rest().await));
    assert_eq!(world.worker.home().receipts().await[0]["receipt"]["requesterPubkey"], "anonymous");
    let request = stories::client::http().post(world.worker.worker_url("/v1/chat/completions"));
    let request = request.header("content-type", "application/json").header("x-lobstah-requester", "LOB1no");
    let answer = stories::Answer::of(request.body(ask(MODEL, "hi").to_string())).await;
    answer.error(400, "invalid_value");
}
