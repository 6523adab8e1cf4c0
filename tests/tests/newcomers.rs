//! Keys cost nothing: a thousand of them get from a worker what one gets, and five hundred requests at once
//! no more than the line that stands behind them (SPEC section 4, "Who may spend").
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::{StreamExt, stream};
use protocol::{Credits, Order};
use stories::{
    Answer, Engine, Node, Requester, Value, ask,
    client::http,
    engine::{Behaviour, MODEL, Trouble, counts},
    eventually, json,
    requester::{OUTPUT_MAX, ordered},
};

/// What all newcomers may take of a day together; one alone may take all of it.
const POOL: u64 = 5000;

const KEYS: usize = 1000;

/// A worker that lends all that it lends to whoever comes, and answers with as much as is ordered.
async fn lender() -> (Engine, Node) {
    let engine = stories::engine();
    engine.handle.set(Behaviour { answer_tokens: Some(OUTPUT_MAX), ..Behaviour::default() });
    let worker = Node::worker(&engine)
        .set("credit.anonymous", "0")
        .set("credit.newcomer_allowance", &POOL.to_string())
        .set("credit.newcomer_pool_per_day", &POOL.to_string())
        .start()
        .await;
    (engine, worker)
}

fn body() -> Value {
    ask(MODEL, "As much as there is, please.")
}

/// The most that one of these requests may cost.
fn cost(worker: &Node) -> u64 {
    Requester::new().order(worker.id, &body()).max_credits.get()
}

/// What was taken in all.
async fn taken(worker: &Node) -> u64 {
    worker.get_json("/balance").await["totals"]["spent"].as_u64().unwrap()
}

/// One key after the other, or always the same, until nothing is lent.
async fn until_nothing_is_lent(worker: &Node, mut next: impl FnMut() -> Requester) {
    loop {
        let requester = next();
        let served = requester.ask(worker, &body()).await;
        if served.answer.status != 200 {
            served.answer.error(402, "insufficient_credit");
            return;
        }
        requester.agree(worker, &served).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_fresh_keys_take_what_one_key_takes() {
    let (_engine, worker) = lender().await;
    let one = Requester::new();
    until_nothing_is_lent(&worker, || one.clone()).await;
    let by_one = taken(&worker).await;

    let (_engine, worker) = lender().await;
    let tool = http();
    let asks = (0..KEYS).map(|_| {
        let requester = Requester::new();
        let order = requester.sign(requester.order(worker.id, &body()));
        let header = protocol::carriers::to_header(order.signed());
        let request = tool.post(worker.worker_url("/v1/chat/completions"));
        let request = request.header("content-type", "application/json").header("x-lobstah-order", header);
        Answer::of(request.body(body().to_string()))
    });
    let statuses: Vec<u16> =
        stream::iter(asks).buffer_unordered(50).map(|answer| answer.status).collect().await;
    assert!(statuses.iter().all(|status| [200, 402].contains(status)), "{statuses:?}");
    // What was held for others when they came is lent to those who come after.
    until_nothing_is_lent(&worker, Requester::new).await;
    let by_many = taken(&worker).await;
    eprintln!("one key took {by_one} of {POOL} credits, {KEYS} keys {by_many}");

    assert!(by_one <= POOL && by_many <= POOL, "{by_one}, {by_many}");
    assert!(by_one.abs_diff(by_many) < cost(&worker), "{by_one} by one key, {by_many} by {KEYS}");
    let other = Requester::new().ask(&worker, &body()).await;
    let left = other.answer.error(402, "insufficient_credit")["availableTokens"].as_u64().unwrap();
    assert_eq!(left, POOL - by_many, "what is left is said");
    worker.home().assert_audit_is_clean().await;
    // The day's pool outlives the process.
    let worker = worker.start_again().await;
    Requester::new().ask(&worker, &body()).await.answer.error(402, "insufficient_credit");
    assert_eq!(taken(&worker).await, by_many);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_orders_at_once_get_what_the_line_pays_for_and_no_more() {
    const AT_ONCE: usize = 500;
    const PAID_FOR: u64 = 100;
    let engine = stories::engine();
    engine.handle.set(Behaviour::of(Trouble::Hang));
    let worker = Node::worker(&engine)
        .set("worker.concurrency", &PAID_FOR.to_string())
        .set("worker.queue", &AT_ONCE.to_string())
        .open_files(4096)
        .start()
        .await;
    let requester = Requester::new();
    let line = PAID_FOR * cost(&worker);
    worker.home().run(&["credit", "lend", &requester.id().to_string(), &line.to_string()]).await.ok();
    let asks = (0..AT_ONCE).map(|_| {
        let requester = requester.clone();
        let worker = &worker;
        async move { requester.ask(worker, &body()).await.answer }
    });
    let all = stream::iter(asks).buffer_unordered(AT_ONCE).collect::<Vec<Answer>>();
    let released = async {
        counts(&engine, "all that the line pays for", |counts| counts.in_flight == PAID_FOR).await;
        let standing = worker.home().standing(requester.id()).await;
        assert_eq!((&standing["reserved"], &standing["available"]), (&json!(line), &json!(0)));
        eventually("the others are sent away", async || {
            let refused = worker.metric("lobstah_requests_open").await;
            (refused <= PAID_FOR + 1).then_some(())
        })
        .await;
        engine.handle.release();
    };
    let (answers, ()) = tokio::join!(all, released);
    let served = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.error(402, "insufficient_credit");
    }
    assert_eq!(served, PAID_FOR);
    assert_eq!(engine.handle.counts().received, PAID_FOR);
    let standing = worker.home().standing(requester.id()).await;
    let claimed = standing["claimed"].as_u64().unwrap();
    assert_eq!(standing["reserved"], 0);
    assert_eq!(standing["available"], line - claimed);
    assert_eq!(taken(&worker).await, claimed);
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_that_comes_a_hundred_times_at_once_is_served_once() {
    let (engine, worker) = lender().await;
    let requester = Requester::new();
    let order = requester.sign(requester.order(worker.id, &body()));
    let asks = (0..100).map(|_| Answer::of(ordered(&worker, &body(), &order)));
    let answers: Vec<Answer> = stream::iter(asks).buffer_unordered(100).collect().await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (1, 99));
    refused.into_iter().for_each(|answer| drop(answer.error(409, "order_already_used")));
    assert_eq!(engine.handle.counts().received, 1);
}

#[tokio::test]
async fn a_stranger_owes_its_word_on_one_answer_before_it_gets_the_next() {
    let (engine, worker) = lender().await;
    let requester = Requester::new();
    engine.handle.set(Behaviour::of(Trouble::Hang).times(1));
    let running = async { requester.ask(&worker, &body()).await };
    let meanwhile = async {
        counts(&engine, "the first", |counts| counts.in_flight == 1).await;
        // One that runs counts like one that is not acknowledged.
        requester.ask(&worker, &body()).await.answer.error(402, "ack_required");
        engine.handle.release();
    };
    let (first, ()) = tokio::join!(running, meanwhile);
    requester.ask(&worker, &body()).await.answer.error(402, "ack_required");
    requester.agree(&worker, &first).await;
    // Four that were settled earn it a second that may wait.
    for _ in 0..3 {
        let served = requester.ask(&worker, &body()).await;
        requester.agree(&worker, &served).await;
    }
    for _ in 0..2 {
        requester.ask(&worker, &body()).await.receipt();
    }
    requester.ask(&worker, &body()).await.answer.error(402, "ack_required");
}

#[tokio::test]
async fn a_refusal_says_how_much_is_available_and_that_much_is_enough() {
    let (engine, worker) = lender().await;
    let requester = Requester::new();
    let greedy = Order { max_credits: Credits::saturating(POOL + 1), ..requester.order(worker.id, &body()) };
    let answer = Answer::of(ordered(&worker, &body(), &requester.sign(greedy))).await;
    let error = answer.error(402, "insufficient_credit");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let available = error["availableTokens"].as_u64().unwrap();
    assert_eq!((available, &error["requesterPubkey"]), (POOL, &json!(requester.id())));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("5001") && message.contains("5000") && message.contains("max_tokens"),
        "{message}"
    );
    let enough = Order { max_credits: Credits::saturating(available), ..requester.order(worker.id, &body()) };
    assert_eq!(Answer::of(ordered(&worker, &body(), &requester.sign(enough))).await.status, 200);
    assert_eq!(engine.handle.counts().received, 1);
}
