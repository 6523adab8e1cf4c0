//! A receipt is believed as far as the order behind it goes: what claims more is disputed, what answers
//! nothing of ours is refused, and neither makes a debt. The answer reaches the tool all the same (SPEC
//! section 4).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Body, Credits, Order, Receipt, Signed, canonical::sha256};
use std::sync::{Arc, Mutex};
use stories::{
    Act, Node, Requester, RogueWorker, Stream, Value, ask, ask_stream,
    client::{is_done, text_of},
    engine::MODEL,
    eventually,
    forge::{self, carried, signed, signed_value},
    json, rogue,
    rogue_worker::{Asked, new_key},
};

/// What is claimed, and what the dispute says of it.
const DISPUTED: [(&str, &str); 9] = [
    ("more output than ordered", "output tokens, ordered were at most"),
    ("more input than ordered", "input tokens, ordered were at most"),
    ("more credits than ordered", "credits, ordered were at most"),
    ("more credits than its tokens cost", "at the price quoted"),
    ("more tokens than the text can have", "bytes of text"),
    ("for another answer", "another answer was received"),
    ("for more bytes than were sent", "another answer was received"),
    ("of another model", "another model ran"),
    ("under another job", "jobId is not the orderId"),
];

/// What answers no order of ours, and how it is counted.
const REFUSED: [(&str, &str); 7] = [
    ("for another order of ours", "wrong_order"),
    ("for an order that nobody made", "wrong_order"),
    ("for another's order", "wrong_requester"),
    ("signed by another", "wrong_worker"),
    ("negative output", "malformed"),
    ("negative credits", "malformed"),
    ("2^63 credits", "malformed"),
];

/// What the order before this one was.
type Before = Arc<Mutex<Option<Signed<Order>>>>;

fn claim(kind: &str, asked: &Asked<'_>, before: &Before, sent: &[u8]) -> String {
    let order = asked.order();
    let (terms, hash) = (order.unverified(), order.sha256());
    let honest = forge::answering(terms, hash, sent);
    let with = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = honest.clone();
        change(&mut receipt);
        signed(receipt, asked.key)
    };
    let answer =
        |change: &dyn Fn(&mut protocol::Answer)| with(&|receipt| receipt.answers.iter_mut().for_each(change));
    let field = |name: &str, value: Value| {
        let mut receipt = honest.to_value();
        receipt[name] = value;
        signed_value(&receipt, asked.key)
    };
    match kind {
        "honest" => signed(honest, asked.key),
        "more output than ordered" => {
            with(&|receipt| receipt.usage.output_tokens = terms.max_output_tokens + 1)
        }
        "more input than ordered" => with(&|receipt| receipt.usage.input_tokens = terms.max_input_tokens + 1),
        "more credits than ordered" => {
            answer(&|answer| answer.credits = terms.max_credits.checked_add(Credits::saturating(1)).unwrap())
        }
        "more credits than its tokens cost" => answer(&|answer| answer.credits = Credits::saturating(9)),
        "more tokens than the text can have" => with(&|receipt| {
            receipt.usage.output_tokens = terms.max_output_tokens;
        }),
        "for another answer" => answer(&|answer| answer.response_sha256 = sha256(b"a better one")),
        "for more bytes than were sent" => answer(&|answer| answer.response_bytes = Some(1 << 40)),
        "of another model" => with(&|receipt| receipt.model = "practice:1b".parse().unwrap()),
        "under another job" => with(&|receipt| receipt.job_id = uuid::Uuid::new_v4().to_string()),
        "for another order of ours" => {
            let last = before.lock().unwrap().clone().unwrap();
            signed(forge::answering(last.unverified(), last.sha256(), sent), asked.key)
        }
        "for an order that nobody made" => answer(&|answer| answer.order_sha256 = sha256(b"no order")),
        "for another's order" => {
            let other = Requester::new();
            let theirs = other.sign(other.order(terms.worker, &ask(MODEL, "theirs")));
            signed(forge::answering(&theirs, theirs.signed().sha256(), sent), asked.key)
        }
        "signed by another" => {
            let other = new_key();
            signed(Receipt { worker: other.node_id(), ..honest.clone() }, &other)
        }
        "negative output" => field("outputTokens", json!(-5)),
        "negative credits" => field("credits", json!(-5)),
        "2^63 credits" => field("credits", json!(1u64 << 63)),
        other => panic!("{other}"),
    }
}

/// An answer that carries this claim.
fn served(asked: &Asked<'_>, kind: &str, before: &Before) -> Vec<Act> {
    if asked.request.json()["stream"] == true {
        let Act::Say(words) = rogue::words("served") else { panic!("words") };
        let comment = format!(":lobstah-receipt:{}\n\n", carried(&claim(kind, asked, before, &words)));
        let end = rogue::say(format!("{comment}data: [DONE]\n\n"));
        return vec![rogue::stream_head(), Act::Say(words), end, Act::Close];
    }
    let body = rogue::completion("served");
    let receipt = carried(&claim(kind, asked, before, body.as_bytes()));
    vec![rogue::answer(200, &format!("x-lobstah-receipt: {receipt}\r\n"), &body)]
}

/// A worker that claims what the prompt says, and takes every acknowledgement.
async fn claimant() -> (RogueWorker, Node) {
    let before = Before::default();
    let worker = RogueWorker::start(move |asked| match asked.request.path.as_str() {
        "/v1/receipts/ack" => {
            let count = asked.request.json()["acks"].as_array().unwrap().len();
            vec![rogue::answer(200, "", &json!({"accepted": count, "refused": []}).to_string())]
        }
        "/v1/chat/completions" => {
            let kind = asked.request.json()["messages"][0]["content"].as_str().unwrap().to_owned();
            let acts = served(&asked, &kind, &before);
            *before.lock().unwrap() = Some(asked.order());
            acts
        }
        _ => vec![rogue::error(404, "", "no receipt")],
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    (worker, gateway)
}

/// Both ways, and the tool sees nothing of it.
async fn asks_both_ways(gateway: &Node, kind: &str) {
    assert_eq!(gateway.answer(&ask(MODEL, kind)).await.text(), "served", "{kind}");
    let events = Stream::of(gateway.chat(&ask_stream(MODEL, kind))).await.rest().await;
    assert!(is_done(&events) && text_of(&events) == "served", "{kind}: {events:?}");
}

/// The acknowledgements that the worker got, the oldest first.
fn words(worker: &RogueWorker) -> Vec<Value> {
    let asked = worker.rogue.asked();
    let batches = asked.iter().filter(|request| request.path == "/v1/receipts/ack");
    batches.flat_map(|request| request.json()["acks"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn what_claims_more_than_was_ordered_or_came_is_disputed_and_no_debt() {
    let (worker, gateway) = claimant().await;
    for (at, (kind, reason)) in DISPUTED.into_iter().enumerate() {
        asks_both_ways(&gateway, kind).await;
        let said =
            eventually(kind, async || Some(words(&worker)).filter(|words| words.len() == 2 * (at + 1))).await;
        for word in &said[2 * at..] {
            assert_eq!(word["ack"]["verdict"], "dispute", "{kind}: {word}");
            assert!(word["ack"]["reason"].as_str().unwrap().contains(reason), "{kind}: {word}");
        }
        assert!(gateway.process.stderr().contains("a receipt is disputed"));
    }
    let count = 2 * DISPUTED.len();
    assert_eq!(gateway.receipts_counted("disputed").await, count as u64);
    let standing = gateway.home().standing(worker.id()).await;
    assert_eq!(standing["owedByMe"], 0, "{standing}");
    let listed = gateway.home().run(&["receipts", "list", "--json"]).await.ok().json();
    let states: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, vec!["disputed"; count], "each is kept, as evidence");
    gateway.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn what_answers_no_order_of_ours_is_refused_and_not_kept() {
    let (worker, gateway) = claimant().await;
    asks_both_ways(&gateway, "honest").await;
    for (kind, label) in REFUSED {
        let counted = gateway.receipts_counted(label).await;
        asks_both_ways(&gateway, kind).await;
        assert_eq!(gateway.receipts_counted(label).await, counted + 2, "{kind}");
    }
    assert_eq!(gateway.home().receipts().await.len(), 2, "the honest ones");
    let owed = gateway.home().standing(worker.id()).await["owedByMe"].clone();
    assert_eq!(owed, 16);
    let said =
        eventually("both are acknowledged", async || Some(words(&worker)).filter(|all| all.len() == 2)).await;
    assert!(said.iter().all(|word| word["ack"]["verdict"] == "ok"), "nothing else is acknowledged: {said:?}");
    gateway.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_receipt_that_was_paid_once_is_worth_nothing_again_also_after_a_restart() {
    let first: Arc<Mutex<Option<String>>> = Arc::default();
    let worker = RogueWorker::start(move |asked| {
        if asked.request.path != "/v1/chat/completions" {
            return vec![rogue::error(404, "", "no receipt")];
        }
        let body = rogue::completion("served");
        let order = asked.order();
        let honest = forge::answering(order.unverified(), order.sha256(), body.as_bytes());
        let receipt = first.lock().unwrap().get_or_insert(signed(honest, asked.key)).clone();
        vec![rogue::answer(200, &format!("x-lobstah-receipt: {}\r\n", carried(&receipt)), &body)]
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    for prompt in ["once", "twice"] {
        assert_eq!(gateway.answer(&ask(MODEL, prompt)).await.text(), "served");
    }
    let gateway = gateway.start_again().await;
    assert_eq!(gateway.answer(&ask(MODEL, "thrice")).await.text(), "served");
    assert_eq!(gateway.receipts_counted("wrong_order").await, 1);
    assert_eq!(gateway.home().standing(worker.id()).await["owedByMe"], 8);
    assert_eq!(gateway.home().receipts().await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_knows_orders_cannot_claim_more_by_forgetting_them() {
    let worker = RogueWorker::start(|asked| {
        let mut receipt = forge::receipt(asked.key.node_id(), asked.requester(), forge::now());
        receipt.usage.output_tokens = 1_000_000;
        let header = format!("x-lobstah-receipt: {}\r\n", carried(&signed(receipt, asked.key)));
        vec![rogue::answer(200, &header, &rogue::completion(&"long ".repeat(20_000)))]
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let mut body = ask(MODEL, "few words, please");
    body["max_tokens"] = json!(10);
    assert_eq!(gateway.answer(&body).await.status, 200);
    let owed = gateway.home().standing(worker.id()).await["owedByMe"].as_u64().unwrap();
    let ordered = body.to_string().len() as u64 / 3 + 1 + 256 + 10;
    assert!(owed <= ordered, "{owed} credits of debt, {ordered} were ordered");
}
