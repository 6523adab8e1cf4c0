//! A model costs what its owner says, and nobody is charged more than it was quoted: what changed meanwhile is
//! said before it costs anything (SPEC section 4).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Credits, Order, Price};
use std::fs;
use stories::{
    Answer, Engine, Node, Requester, Rogue, Value, ask,
    client::http,
    engine::{Behaviour, MODEL},
    eventually, json,
    requester::{OUTPUT_MAX, ordered},
    rogue,
};

const DEAR: Price = Price { input: 2000, output: 6000 };

fn dear() -> String {
    format!("{{ \"{MODEL}\" = {{ input = {}, output = {} }} }}", DEAR.input, DEAR.output)
}

/// A worker whose answers are as long as ordered.
async fn worker(prices: &str) -> (Engine, Node) {
    let engine = stories::engine();
    engine.handle.set(Behaviour { answer_tokens: Some(OUTPUT_MAX), ..Behaviour::default() });
    let worker = Node::worker(&engine).set("credit.prices", prices).start().await;
    (engine, worker)
}

fn body() -> Value {
    let mut body = ask(MODEL, "What does that cost?");
    body["max_tokens"] = json!(OUTPUT_MAX);
    body
}

async fn with(worker: &Node, requester: &Requester, change: impl FnOnce(&mut Order)) -> Answer {
    let mut order = requester.order(worker.id, &body());
    change(&mut order);
    Answer::of(ordered(worker, &body(), &requester.sign(order))).await
}

#[tokio::test]
async fn a_model_costs_what_its_owner_says_and_both_books_say_it_too() {
    let (_engine, worker) = worker(&dear()).await;
    let capacity = Answer::of(http().get(worker.worker_url("/capacity"))).await.json();
    assert_eq!(capacity["prices"][MODEL], json!({"input": 2000, "output": 6000}));
    let gateway = Node::gateway().friend(&worker).start().await;
    assert_eq!(gateway.answer(&body()).await.status, 200);
    let receipt = gateway.home().receipts().await[0]["receipt"].clone();
    let [input, output] = ["inputTokens", "outputTokens"].map(|name| receipt[name].as_u64().unwrap());
    let charged = (input * DEAR.input + output * DEAR.output).div_ceil(1000);
    assert_eq!((output, &receipt["credits"]), (OUTPUT_MAX, &json!(charged)));
    eventually("both say so", async || {
        let owed = worker.home().standing(gateway.id).await["owedToMe"].clone();
        (owed == charged && owed == gateway.home().standing(worker.id).await["owedByMe"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_was_quoted_less_than_it_costs_is_told_before_it_costs_anything() {
    let (engine, worker) = worker(&dear()).await;
    let requester = Requester::new();
    let quoted = async |price: Option<Price>, credits: u64| {
        with(&worker, &requester, |order| {
            order.price = price;
            order.max_credits = Credits::saturating(credits);
        })
        .await
    };
    for price in [Price::COMMON, Price { input: 2000, output: 5999 }, Price { input: 1999, output: 6000 }] {
        let error = quoted(Some(price), 5000).await.error(409, "quote_changed");
        assert!(error["message"].as_str().unwrap().contains("2000 and 6000"), "{error}");
    }
    // Who names no price is held to what it pays for, and what is quoted dearer is charged as it is.
    let cheap = quoted(None, 400).await.error(402, "insufficient_credit");
    assert!(cheap["message"].as_str().unwrap().contains("may cost up to"), "{cheap}");
    assert_eq!(engine.handle.counts().received, 0);
    let answer = quoted(Some(Price { input: 9000, output: 9000 }), 5000).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let claimed = worker.home().standing(requester.id()).await["claimed"].as_u64().unwrap();
    assert!((600..1200).contains(&claimed), "a hundred tokens at six credits, and some input: {claimed}");
}

#[tokio::test]
async fn a_model_that_was_pulled_anew_is_not_sold_as_the_old_one() {
    let (engine, worker) = worker("{}").await;
    let requester = Requester::new();
    with(&worker, &requester, |order| order.model_digest = Some([7; 32])).await.error(409, "quote_changed");
    assert_eq!(engine.handle.counts().received, 0);
    let tags = Answer::of(http().get(format!("{}api/tags", engine.url))).await.json();
    let listed = tags["models"].as_array().unwrap().iter().find(|model| model["name"] == MODEL).unwrap();
    let digest = listed["digest"].as_str().unwrap();
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes).unwrap();
    assert_eq!(with(&worker, &requester, |order| order.model_digest = Some(bytes)).await.status, 200);
    assert_eq!(worker.home().receipts().await[0]["receipt"]["modelDigest"], digest);
}

#[tokio::test]
async fn a_gateway_with_an_old_quote_goes_on_elsewhere_and_comes_back_at_the_new_price() {
    let cloud = Rogue::start(|_| vec![rogue::answer(200, "", &rogue::completion("from the cloud"))]).await;
    let (_engine, worker) = worker("{}").await;
    let gateway = Node::gateway()
        .friend(&worker)
        .table(&format!("[[upstreams]]\nname = \"cloud\"\nurl = \"{}/v1\"", cloud.url()))
        .route("to = [\"friends\", \"cloud\"]")
        .start()
        .await;
    let served_by = |answer: &Answer| answer.header("x-lobstah-worker").map(str::to_owned);
    let friend = Some(worker.id.to_string());
    assert_eq!(served_by(&gateway.answer(&body()).await), friend);
    let settings = worker.home().file("lobstah.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("prices = {}", &format!("prices = {}", dear()))).unwrap();
    eventually("the price is another", async || {
        let capacity = Answer::of(http().get(worker.worker_url("/capacity"))).await.json();
        (capacity["prices"][MODEL]["output"] == DEAR.output).then_some(())
    })
    .await;
    let meanwhile = gateway.answer(&body()).await;
    assert_eq!(meanwhile.status, 200, "{}", meanwhile.body);
    eventually("it is ordered at the new price", async || {
        (served_by(&gateway.answer(&body()).await) == friend).then_some(())
    })
    .await;
    let receipts = gateway.home().receipts().await;
    let [input, output] =
        ["inputTokens", "outputTokens"].map(|name| receipts[0]["receipt"][name].as_u64().unwrap());
    let due = (input * DEAR.input + output * DEAR.output).div_ceil(1000);
    assert_eq!(receipts[0]["receipt"]["credits"], due);
    assert!(receipts.iter().skip(1).all(|one| one["receipt"]["credits"] == input + output), "{receipts:?}");
}
