//! An order is its requester's word, for one request at one worker, once: what is forged, replayed, moved
//! or malformed is refused before the engine hears of it, and costs nobody anything (SPEC section 4).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Body, Credits, ModelName, Order, Timestamp, carriers, limits::INTEGER_MAX};
use std::time::Duration;
use stories::{
    Answer, Engine, Node, Requester, Setup, Value, ask,
    engine::{MODEL, engine_with},
    forge::{ago, ahead, carried, now},
    json,
    requester::{named, ordered, to_worker},
};

const OTHER: &str = "practice:1b";

const HOUR: Duration = Duration::from_secs(3600);

/// A worker as its owner gets it who sets nothing.
async fn worker(change: impl FnOnce(Setup) -> Setup) -> (Engine, Node) {
    let engine = engine_with(&[MODEL, OTHER]);
    let setup = Node::worker(&engine)
        .set("credit.anonymous", "0")
        .set("credit.newcomer_allowance", "10000")
        .set("credit.newcomer_pool_per_day", "100000");
    (engine, change(setup).start().await)
}

fn body() -> Value {
    ask(MODEL, "Who pays for this?")
}

/// Sends what is no header of ours, and what may be.
async fn with_header(worker: &Node, header: &str) -> Answer {
    Answer::of(to_worker(worker, &body()).header(carriers::ORDER_HEADER, header)).await
}

#[track_caller]
fn refused(answer: &Answer, param: &str) {
    let error = answer.error(403, "order_refused");
    assert_eq!(error["param"], param, "{error}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
}

/// The engine was never asked, and nobody owes anything.
async fn nothing_happened(engine: &Engine, worker: &Node) {
    assert_eq!(engine.handle.counts().received, 0, "the engine was asked");
    let balance = worker.home().run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["totals"]["receipts"], 0, "{balance}");
    for peer in balance["peers"].as_array().unwrap() {
        assert_eq!((&peer["claimed"], &peer["owedToMe"]), (&json!(0), &json!(0)), "{peer}");
    }
}

#[tokio::test]
async fn anothers_key_in_the_header_spends_none_of_its_credit_and_no_header_spends_none_at_all() {
    let (engine, worker) = worker(|setup| setup).await;
    let (victim, thief) = (Requester::new(), Requester::new());
    worker.home().run(&["credit", "lend", &victim.id().to_string(), "1000000"]).await.ok();
    for request in [named(&worker, &body(), victim.id()), to_worker(&worker, &body())] {
        let error = Answer::of(request).await.error(402, "insufficient_credit");
        assert_eq!(error["availableTokens"], 0);
        assert_eq!(error["requesterPubkey"], "anonymous", "nobody is believed to be who they say");
    }
    // With an order of the thief's own, the two names contradict each other.
    let own = thief.sign(thief.order(worker.id, &body()));
    let request = ordered(&worker, &body(), &own);
    let request = request.header(carriers::REQUESTER_HEADER, victim.id().to_string());
    refused(&Answer::of(request).await, "requesterPubkey");
    // An order that names the victim, and that the thief signed.
    let theirs = victim.order(worker.id, &body()).to_value();
    refused(&with_header(&worker, &thief.sign_value(&theirs)).await, "signature");
    nothing_happened(&engine, &worker).await;
    assert_eq!(worker.home().standing(victim.id()).await["available"], 1_000_000);
    assert!(victim.ask(&worker, &body()).await.answer.status == 200, "its own word is believed");
}

#[tokio::test]
async fn an_order_is_taken_once_whatever_is_changed_on_it_and_also_after_a_restart() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    worker.home().run(&["credit", "lend", &requester.id().to_string(), "1000000"]).await.ok();
    let served = requester.ask(&worker, &body()).await;
    assert_eq!(served.receipt().job_id, served.order.order_id);
    let changed = |change: &dyn Fn(&mut Order)| {
        let mut order = (*served.order).clone();
        change(&mut order);
        requester.sign(order)
    };
    let again = [
        served.order.clone(),
        changed(&|order| order.max_output_tokens += 1),
        changed(&|order| order.order_id = order.order_id.to_uppercase()),
        changed(&|order| order.created_at = Timestamp::from_millis(order.created_at.as_millis() + 1)),
    ];
    let replay = async |worker: &Node| {
        for order in &again {
            Answer::of(ordered(worker, &body(), order)).await.error(409, "order_already_used");
        }
    };
    replay(&worker).await;
    let worker = worker.start_again().await;
    replay(&worker).await;
    assert_eq!(engine.handle.counts().received, 1, "nothing was made twice");
    let standing = worker.home().standing(requester.id()).await;
    let charged = served.receipt().answers.as_ref().unwrap().credits.get();
    assert_eq!((&standing["claimed"], &standing["reserved"]), (&json!(charged), &json!(0)));
}

#[tokio::test]
async fn an_order_counts_for_its_worker_its_body_and_its_model_alone() {
    let (engine, here) = worker(|setup| setup).await;
    let (_other_engine, there) = worker(|setup| setup).await;
    let requester = Requester::new();
    let order = requester.sign(requester.order(here.id, &body()));
    refused(&Answer::of(ordered(&there, &body(), &order)).await, "workerPubkey");
    for another in [ask(MODEL, "Who pays for that?"), ask(OTHER, "Who pays for this?")] {
        refused(&Answer::of(ordered(&here, &another, &order)).await, "bodySha256");
    }
    let model: ModelName = OTHER.parse().unwrap();
    let cheap = requester.sign(Order { model, ..requester.order(here.id, &body()) });
    refused(&Answer::of(ordered(&here, &body(), &cheap)).await, "model");
    nothing_happened(&engine, &here).await;
    assert_eq!(Answer::of(ordered(&here, &body(), &order)).await.status, 200, "nothing used it up");
}

/// One whose times are these, in milliseconds from `now`; the last is `answerBy`.
fn at(order: Order, created: i64, expires: i64, by: Option<i64>) -> Order {
    let moment = |offset: i64| Timestamp::from_millis(now().as_millis().saturating_add_signed(offset));
    Order { created_at: moment(created), expires_at: moment(expires), answer_by: by.map(moment), ..order }
}

#[tokio::test]
async fn an_order_counts_in_its_time_alone() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    const S: i64 = 1000;
    const MIN: i64 = 60 * S;
    let order = || requester.order(worker.id, &body());
    let wrong = [
        ("an hour ago", at(order(), -60 * MIN, -55 * MIN, None), "expiresAt"),
        ("a second ago", at(order(), -5 * MIN, -S, None), "expiresAt"),
        ("ten minutes from now", at(order(), 10 * MIN, 15 * MIN, None), "createdAt"),
        ("ten seconds too far ahead", at(order(), 5 * MIN + 10 * S, 6 * MIN, None), "createdAt"),
        ("good for longer than ten minutes", at(order(), 0, 10 * MIN + 1, None), "order"),
        ("over before it began", at(order(), 0, -1, None), "order"),
        ("too late for its answer", at(order(), -MIN, MIN, Some(-S)), "answerBy"),
        ("to be answered in eight days", at(order(), 0, MIN, Some(8 * 24 * 60 * MIN)), "order"),
    ];
    for (what, order, param) in wrong {
        let answer = Answer::of(ordered(&worker, &body(), &requester.sign(order))).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.body);
        refused(&answer, param);
    }
    nothing_happened(&engine, &worker).await;
    let ahead_of_ours = requester.sign(at(order(), 5 * MIN - 10 * S, 6 * MIN, None));
    assert_eq!(Answer::of(ordered(&worker, &body(), &ahead_of_ours)).await.status, 200);
}

#[tokio::test]
async fn an_order_that_was_taken_an_hour_ago_is_too_old_to_be_replayed() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    let order = Order {
        created_at: ago(HOUR),
        expires_at: ago(HOUR - Duration::from_secs(600)),
        ..requester.order(worker.id, &body())
    };
    refused(&Answer::of(ordered(&worker, &body(), &requester.sign(order))).await, "expiresAt");
    nothing_happened(&engine, &worker).await;
}

#[tokio::test]
async fn numbers_that_no_honest_order_has_are_refused_and_reserve_nothing() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    let with = |field: &str, value: Value| {
        let mut order = requester.order(worker.id, &body()).to_value();
        order[field] = value;
        requester.sign_value(&order)
    };
    let numbers = [
        json!(-1),
        json!(-0.5),
        json!(0.5),
        json!(100.25),
        json!(INTEGER_MAX + 1),
        json!(1u64 << 63),
        json!(u64::MAX),
        json!(1e300),
        json!("100"),
        json!(null),
        json!([100]),
        json!(true),
    ];
    for field in ["maxCredits", "maxOutputTokens", "maxInputTokens", "createdAt"] {
        for number in &numbers {
            let answer = with_header(&worker, &with(field, number.clone())).await;
            assert_eq!(answer.status, 403, "{field} {number}: {}", answer.body);
            refused(&answer, "order");
        }
    }
    // Numbers that are none of those and agree to nothing, or to more than is lent.
    for (field, value) in [("maxCredits", 0), ("maxOutputTokens", 0), ("maxCredits", 10)] {
        let error = with_header(&worker, &with(field, json!(value))).await.error(402, "insufficient_credit");
        assert!(error["message"].as_str().unwrap().contains("max_tokens"), "{error}");
    }
    let error =
        with_header(&worker, &with("maxCredits", json!(INTEGER_MAX))).await.error(402, "insufficient_credit");
    assert_eq!(error["availableTokens"], 10_000);
    assert_eq!(error["requesterPubkey"], requester.id().to_string());
    refused(&with_header(&worker, &with("version", json!(3))).await, "version");
    nothing_happened(&engine, &worker).await;
    assert_eq!(worker.home().standing(requester.id()).await["reserved"], 0);
}

#[tokio::test]
async fn a_header_that_holds_no_order_is_refused_unread_or_read_strictly() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    let good = requester.sign(requester.order(worker.id, &body())).to_json();
    let twice = good.replacen("\"maxCredits\":", "\"maxCredits\":1,\"maxCredits\":", 1);
    let headers = [
        "this is *not* base64".to_owned(),
        carried("{"),
        carried("[]"),
        carried("{\"signature\":\"00\"}"),
        carried(&twice),
        carried(&good.replacen("\"signature\":\"", "\"signature\":\"0", 1)),
        carried(&good.replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(4096)), 1)),
    ];
    for header in headers {
        refused(&with_header(&worker, &header).await, "order");
    }
    refused(
        &with_header(&worker, &carried(&good.replacen("\"maxCredits\":", "\"maxCredits\":1", 1))).await,
        "signature",
    );
    nothing_happened(&engine, &worker).await;
    assert_eq!(with_header(&worker, &carried(&good)).await.status, 200);
}

/// What Go's parser would take for a key that we read.
#[tokio::test]
async fn a_body_that_the_engine_would_read_otherwise_than_we_do_reaches_no_engine() {
    let (engine, worker) = worker(|setup| setup).await;
    let requester = Requester::new();
    let start =
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}],"max_tokens":5"#);
    let tails = [
        r#","Model":"practice:1b""#,
        r#","model":"practice:1b""#,
        r#","mode\u006c":"practice:1b""#,
        r#","MAX_TOKENS":100000"#,
        r#","max_tokens":100000"#,
        r#","Max_Completion_Tokens":100000"#,
        ",\"max_to\u{212a}ens\":100000",
        r#","Stream":true"#,
        r#","stream":false,"stream":true"#,
        ",\"\u{17f}tream\":true",
        r#","Stream_Options":{"include_usage":true}"#,
        r#","stream":true,"stream_options":{"include_usage":true,"Include_Usage":false}"#,
        r#","Messages":[]"#,
        r#","N":9"#,
    ];
    for tail in tails {
        let text = format!("{start}{tail}}}");
        let mut order = requester.order(worker.id, &body());
        order.body_sha256 = protocol::canonical::sha256(text.as_bytes());
        order.expires_at = ahead(Duration::from_secs(60));
        order.max_credits = Credits::saturating(5000);
        let request = ordered(&worker, &body(), &requester.sign(order)).body(text);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 400, "{tail}: {}", answer.body);
        answer.error(400, "invalid_value");
    }
    nothing_happened(&engine, &worker).await;
}
