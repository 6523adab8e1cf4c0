//! What a worker's owner lends is its own to say: friends' lines, a daily amount for whoever says nothing, and
//! how far a name without a signature is believed (SPEC sections 4 and 9).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Credits, Order, carriers::ORDER_HEADER};
use stories::{
    Answer, Engine, Node, Requester, Rogue, Setup, Value, ask,
    client::http,
    engine::{self, Behaviour, MODEL},
    json,
    requester::{OUTPUT_MAX, named, ordered, to_worker},
    rogue,
};

/// A worker as its owner gets it who sets nothing, but for what `change` says. Answers are as long as ordered.
async fn worker(change: impl FnOnce(Setup) -> Setup) -> (Engine, Node) {
    let engine = stories::engine();
    engine.handle.set(Behaviour { answer_tokens: Some(OUTPUT_MAX), ..Behaviour::default() });
    let setup = Node::worker(&engine)
        .set("credit.anonymous", "0")
        .set("credit.newcomer_allowance", "10000")
        .set("credit.newcomer_pool_per_day", "100000");
    (engine, change(setup).start().await)
}

fn body() -> Value {
    let mut body = ask(MODEL, "What does that cost?");
    body["max_tokens"] = json!(OUTPUT_MAX);
    body
}

/// The most that the body may cost, at one credit a token.
fn cost() -> u64 {
    body().to_string().len().div_ceil(3) as u64 + 256 + OUTPUT_MAX
}

async fn with(worker: &Node, requester: &Requester, change: impl FnOnce(&mut Order)) -> Answer {
    let mut order = requester.order(worker.id, &body());
    change(&mut order);
    Answer::of(ordered(worker, &body(), &requester.sign(order))).await
}

#[tokio::test]
async fn a_friend_may_owe_its_line_and_not_one_credit_more() {
    let friend = Requester::new();
    let line = cost() + 50;
    let peer = format!("[[peers]]\npubkey = \"{}\"\ncredit_limit = {line}", friend.id());
    let (_engine, worker) = worker(|setup| setup.set("credit.newcomer_allowance", "0").table(&peer)).await;
    assert_eq!(worker.home().standing(friend.id()).await["available"], 0, "nothing is known of it yet");
    let too_much = with(&worker, &friend, |order| order.max_credits = Credits::saturating(line + 1)).await;
    assert_eq!(too_much.error(402, "insufficient_credit")["availableTokens"], line);
    let exactly = with(&worker, &friend, |order| order.max_credits = Credits::saturating(line)).await;
    assert_eq!(exactly.status, 200, "{}", exactly.body);
    let standing = worker.home().standing(friend.id()).await;
    let left = line - standing["claimed"].as_u64().unwrap();
    assert_eq!((&standing["line"], &standing["available"]), (&json!(line), &json!(left)));
    let more = with(&worker, &friend, |_| {}).await;
    assert_eq!(
        more.error(402, "insufficient_credit")["availableTokens"],
        left,
        "a line, and no pool beside it"
    );
    with(&worker, &Requester::new(), |_| {}).await.error(402, "insufficient_credit");
}

#[tokio::test]
async fn who_says_nothing_shares_what_the_owner_gives_away_each_day() {
    let given = 2 * cost();
    let (engine, worker) = worker(|setup| setup.set("credit.anonymous", &given.to_string())).await;
    let mut taken = 0;
    let refused = loop {
        let answer = Answer::of(to_worker(&worker, &body())).await;
        if answer.status != 200 {
            break answer;
        }
        let usage = &answer.json()["usage"];
        taken += usage["total_tokens"].as_u64().unwrap();
    };
    let error = refused.error(402, "insufficient_credit");
    assert_eq!(
        (&error["requesterPubkey"], &error["availableTokens"]),
        (&json!("anonymous"), &json!(given - taken))
    );
    assert!(taken <= given && given - taken < cost(), "{taken} of {given}");
    let served = engine.handle.counts().received;
    for receipt in worker.home().receipts().await {
        assert_eq!(receipt["receipt"]["requesterPubkey"], "anonymous");
    }
    let worker = worker.start_again().await;
    Answer::of(to_worker(&worker, &body())).await.error(402, "insufficient_credit");
    assert_eq!(engine.handle.counts().received, served);
    assert_eq!(
        with(&worker, &Requester::new(), |_| {}).await.status,
        200,
        "newcomers have a pool of their own"
    );
}

#[tokio::test]
async fn a_name_that_is_believed_spends_the_newcomers_pool_and_nobodys_line() {
    let friend = Requester::new();
    let peer = format!("[[peers]]\npubkey = \"{}\"\ncredit_limit = 1000000", friend.id());
    let allowance = cost() + 10;
    let (_engine, worker) = worker(|setup| {
        setup
            .set("credit.trust_requester_header", "true")
            .set("credit.newcomer_allowance", &allowance.to_string())
            .set("credit.newcomer_pool_per_day", &(3 * cost()).to_string())
            .table(&peer)
    })
    .await;
    // As the friend, whose line is long; and as anybody, until the pool is empty.
    assert_eq!(Answer::of(named(&worker, &body(), friend.id())).await.status, 200);
    let again = Answer::of(named(&worker, &body(), friend.id())).await.error(402, "insufficient_credit");
    assert!(again["availableTokens"].as_u64().unwrap() < cost(), "{again}");
    let standing = worker.home().standing(friend.id()).await;
    assert_eq!((&standing["claimed"], &standing["owedToMe"]), (&json!(0), &json!(0)), "it is not its debt");
    let mut served = 1;
    while Answer::of(named(&worker, &body(), Requester::new().id())).await.status == 200 {
        served += 1;
    }
    assert!((2..=9).contains(&served), "{served} answers");
    Answer::of(to_worker(&worker, &body())).await.error(402, "insufficient_credit");
    with(&worker, &Requester::new(), |_| {}).await.error(402, "insufficient_credit");
    assert_eq!(with(&worker, &friend, |_| {}).await.status, 200, "with its own word it has its own line");
}

#[tokio::test]
async fn a_version_1_gateway_that_its_owner_vouches_for_spends_its_own_line() {
    let old = Requester::new();
    let line = 2 * cost();
    let peer = format!("[[peers]]\npubkey = \"{}\"\ncredit_limit = {line}\nversion1 = true", old.id());
    let trusting = |setup: Setup| {
        setup.set("credit.trust_requester_header", "true").set("credit.newcomer_allowance", "0")
    };
    let (_engine, worker) = worker(|setup| trusting(setup).table(&peer)).await;
    let mut served = 0;
    while Answer::of(named(&worker, &body(), old.id())).await.status == 200 {
        served += 1;
    }
    assert!(served >= 2, "{served} answers");
    let standing = worker.home().standing(old.id()).await;
    assert!(standing["claimed"].as_u64().unwrap() > line - cost(), "{standing}");
    assert!(standing["available"].as_u64().unwrap() < cost(), "{standing}");
    Answer::of(named(&worker, &body(), Requester::new().id())).await.error(402, "insufficient_credit");
}

#[tokio::test]
async fn embeddings_and_long_prompts_are_paid_for_too() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    let embed = json!({"model": "practice-embed:latest", "input": "word ".repeat(3000)});
    let needed = embed.to_string().len().div_ceil(3) as u64 + 256;
    let ask_for = async |credits: u64, input: u64| {
        let mut order = requester.order(worker.id, &embed);
        (order.max_credits, order.max_input_tokens) = (Credits::saturating(credits), input);
        let request =
            http().post(worker.worker_url("/v1/embeddings")).header("content-type", "application/json");
        let header = protocol::carriers::to_header(requester.sign(order).signed());
        Answer::of(request.header(ORDER_HEADER, header).body(embed.to_string())).await
    };
    for credits in [0, 1, needed - 1] {
        ask_for(credits, needed).await.error(402, "insufficient_credit");
    }
    // Who agrees to less input than it sends would have it read for nothing.
    for input in [0, 1, needed - 257] {
        let error = ask_for(needed, input).await.error(403, "order_refused");
        assert_eq!(error["param"], "maxInputTokens");
    }
    let free = with(&worker, &requester, |order| order.max_input_tokens = 0).await;
    assert_eq!(free.error(403, "order_refused")["param"], "maxInputTokens");
    assert_eq!(engine.handle.counts().received, 0);
    assert_eq!(ask_for(needed, needed).await.status, 200);
    let claimed = worker.home().standing(requester.id()).await["claimed"].as_u64().unwrap();
    assert!((3000..=needed).contains(&claimed), "{claimed} credits");
}

#[tokio::test]
async fn a_gateway_orders_what_is_lent_and_goes_on_where_that_is_too_little() {
    let cloud = Rogue::start(|_| vec![rogue::answer(200, "", &rogue::completion("from the cloud"))]).await;
    let upstream = format!("[[upstreams]]\nname = \"cloud\"\nurl = \"{}/v1\"", cloud.url());
    let at = async |worker: &Node| {
        Node::gateway()
            .friend_at(worker.id, &worker.worker_url(""))
            .table(&upstream)
            .route("to = [\"friends\", \"cloud\"]")
            .start()
            .await
    };
    // 8,192 tokens are ordered where a tool says nothing, and 1,000 are lent: one order more, and it fits.
    let (engine, lender) = worker(|setup| setup.set("credit.newcomer_allowance", "1000")).await;
    let gateway = at(&lender).await;
    let answer = gateway.answer(&ask(MODEL, "as much as I get")).await;
    assert_eq!((answer.header("x-lobstah-attempts"), answer.status), (Some("1"), 200), "{}", answer.body);
    assert_eq!(answer.header("x-lobstah-worker"), Some(lender.id.to_string().as_str()));
    let bodies = engine::bodies(&engine);
    let asked: Value = serde_json::from_str(&bodies[0]).unwrap();
    let held_to = asked["max_tokens"].as_u64().unwrap();
    assert!((256..1000).contains(&held_to), "{asked}");
    let receipt = gateway.home().receipts().await[0]["receipt"].clone();
    assert!(receipt["credits"].as_u64().unwrap() <= 1000, "{receipt}");

    let (engine, miser) = worker(|setup| setup.set("credit.newcomer_allowance", "0")).await;
    let gateway = at(&miser).await;
    let answer = gateway.answer(&ask(MODEL, "and here?")).await;
    assert_eq!((answer.text().as_str(), answer.header("x-lobstah-attempts")), ("from the cloud", Some("2")));
    assert_eq!(engine.handle.counts().received, 0);
    let alone = Node::gateway().friend_at(miser.id, &miser.worker_url("")).start().await;
    let error = alone.answer(&ask(MODEL, "and alone?")).await.error(502, "all_upstreams_failed");
    let reason = error["attempts"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("402") && reason.contains("max_tokens"), "{reason}");
    assert!(alone.home().standing(miser.id).await["owedByMe"] == 0);
}
