//! Who leaves early pays for what was made, who asks for little gets no more, and who reads slowly keeps no
//! place for long (SPEC sections 4 and 7).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{
    Order, Receipt, Verified,
    auth::{Asked, Auth},
    carriers::AUTH_HEADER,
};
use std::time::{Duration, Instant};
use stories::{
    Act, Answer, Node, Raw, Requester, Rogue, Stream, World, ask, ask_stream,
    client::{http, is_done, text_of},
    engine::{Behaviour, MODEL, Trouble, counts, pace},
    eventually, eventually_within, forge, json,
    requester::{OUTPUT_MAX, ordered, receipt_of, to_worker},
    rogue,
};

/// A receipt that did not arrive is asked for when its order is some 20 s old.
const COLLECTED_WITHIN: Duration = Duration::from_secs(60);

const A_SECOND: Duration = Duration::from_secs(1);

/// The receipt that waits for this order, once the worker has noticed that its requester left.
async fn collected(requester: &Requester, worker: &Node, order: &Verified<Order>) -> Verified<Receipt> {
    eventually("the receipt waits", async || {
        let answer = requester.collect(worker, &order.order_id).await;
        (answer.status == 200).then(|| receipt_of(&answer.body))
    })
    .await
}

/// Reads until this many words came.
async fn words_of(stream: &mut Stream, count: u64) {
    let mut read = 0;
    while read < count {
        read += u64::from(stream.next_data().await.expect("a word").words().is_some());
    }
}

#[tokio::test]
async fn who_reads_all_of_a_stream_and_leaves_before_its_receipt_pays_for_all_of_it() {
    let world = World::start().await;
    let requester = Requester::new();
    let body = ask_stream(MODEL, "all of it, please");
    for tokens in [1u64, 3, 40] {
        world
            .engine
            .handle
            .set(Behaviour { answer_tokens: Some(tokens), ..Behaviour::of(Trouble::HangAfter(tokens)) });
        let order = requester.sign(requester.order(world.worker.id, &body));
        let mut stream = Stream::of(ordered(&world.worker, &body, &order)).await;
        words_of(&mut stream, tokens).await;
        drop(stream);
        let receipt = collected(&requester, &world.worker, &order).await;
        let answer = receipt.answers.as_ref().unwrap();
        assert_eq!((answer.cut, answer.estimated), (true, true));
        assert_eq!(receipt.usage.output_tokens, tokens);
        assert_eq!(answer.credits.get(), receipt.usage.total());
        assert_eq!(receipt.usage.input_tokens, (body.to_string().len() as u64).div_ceil(4));
        let again = requester.collect(&world.worker, &order.order_id).await;
        assert_eq!(receipt_of(&again.body), receipt, "fetched twice it is the same");
        requester.agree_to(&world.worker, &order, &receipt).await;
    }
    // The engine was not at its end, and it is the requester who broke off.
    counts(&world.engine, "that its work ended", |counts| counts.in_flight == 0).await;
    assert_eq!(world.engine.handle.counts().aborted, 3);
}

#[tokio::test]
async fn what_a_tool_leaves_is_collected_by_its_gateway_and_both_books_agree() {
    let world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(5)).times(1));
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "five words")).await;
    words_of(&mut stream, 5).await;
    drop(stream);
    let (gateway, worker) = (world.gateway.home(), world.worker.home());
    let owed = eventually_within(COLLECTED_WITHIN, A_SECOND, "it is collected", async || {
        let owed = gateway.standing(world.worker.id).await["owedByMe"].as_u64().unwrap();
        (owed > 0).then_some(owed)
    })
    .await;
    let standing = eventually("it is acknowledged", async || {
        Some(worker.standing(world.gateway.id).await).filter(|standing| standing["claimed"] == 0)
    })
    .await;
    assert_eq!((&standing["owedToMe"], &standing["reserved"]), (&json!(owed), &json!(0)));
    let receipts = gateway.receipts().await;
    assert_eq!(receipts, worker.receipts().await);
    assert_eq!(
        (&receipts[0]["receipt"]["cut"], &receipts[0]["receipt"]["outputTokens"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(world.gateway.receipts_counted("collected").await, 1);
}

#[tokio::test]
async fn a_gateway_that_was_away_when_the_receipt_was_made_collects_it_when_it_is_back() {
    let mut world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(7)).times(1));
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "seven words")).await;
    words_of(&mut stream, 7).await;
    world.gateway.kill();
    drop(stream);
    eventually("the worker wrote its receipt", async || {
        (world.worker.receipts_counted("signed_cut").await == 1).then_some(())
    })
    .await;
    let gateway = world.gateway.start_again().await;
    // What a dead process ordered nobody waits for: it is asked after at once.
    let receipts = eventually("it is collected", async || {
        Some(gateway.home().receipts().await).filter(|all| !all.is_empty())
    })
    .await;
    assert_eq!(receipts, world.worker.home().receipts().await);
    eventually("it is settled", async || {
        let standing = world.worker.home().standing(gateway.id).await;
        (standing["claimed"] == 0 && standing["owedToMe"].as_u64() > Some(7)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_leaves_a_whole_answer_pays_for_the_engines_time_once_its_speed_is_known() {
    let world = World::start().await;
    let requester = Requester::new();
    let body = ask(MODEL, "take your time");
    // Shorter answers say nothing of the speed.
    world.engine.handle.set(pace(20, Duration::from_millis(20)));
    let served = requester.ask(&world.worker, &body).await;
    requester.agree(&world.worker, &served).await;
    world.engine.handle.set(pace(1000, Duration::from_millis(20)));
    let before = world.engine.handle.counts().tokens;
    let order = requester.sign(requester.order(world.worker.id, &body));
    let asking = stories::spawn(ordered(&world.worker, &body, &order).send());
    counts(&world.engine, "thirty tokens", |counts| counts.tokens >= before + 30).await;
    drop(asking);
    let receipt = collected(&requester, &world.worker, &order).await;
    let answer = receipt.answers.as_ref().unwrap();
    assert_eq!((answer.cut, answer.estimated), (true, true));
    assert!((5..=OUTPUT_MAX).contains(&receipt.usage.output_tokens), "{:?}", receipt.usage);
}

#[tokio::test]
async fn a_receipt_is_given_to_who_ordered_and_to_nobody_else() {
    let world = World::start().await;
    let (requester, other) = (Requester::new(), Requester::new());
    let body = ask(MODEL, "mine");
    world.engine.handle.set(Behaviour::of(Trouble::Hang).times(1));
    let order = requester.sign(requester.order(world.worker.id, &body));
    let asking = stories::spawn(Answer::of(ordered(&world.worker, &body, &order)));
    counts(&world.engine, "the request", |counts| counts.in_flight == 1).await;
    let not_yet = requester.collect(&world.worker, &order.order_id).await;
    not_yet.error(409, "not_ready");
    assert!(not_yet.header("retry-after").is_some());
    world.engine.handle.release();
    assert_eq!(asking.join().await.status, 200);

    assert_eq!(requester.collect(&world.worker, &order.order_id).await.status, 200);
    other.collect(&world.worker, &order.order_id).await.error(404, "not_found");
    requester.collect(&world.worker, &uuid()).await.error(404, "not_found");
    let path = format!("/v1/receipts/{}", order.order_id);
    let here = Asked { worker: world.worker.id, method: "GET", path: &path };
    let sign = |asked: &Asked<'_>, at| Auth::sign(&requester.key, asked, at).to_header();
    let good = sign(&here, forge::now());
    let minutes = |count: u64| Duration::from_secs(60 * count + 5);
    let bad = [
        ("signed a minute ago", sign(&here, forge::ago(minutes(1)))),
        ("signed a minute from now", sign(&here, forge::ahead(minutes(1)))),
        ("signed an hour ago", sign(&here, forge::ago(minutes(60)))),
        ("for another worker", sign(&Asked { worker: world.gateway.id, ..here }, forge::now())),
        ("for another order", sign(&Asked { path: "/v1/receipts/x", ..here }, forge::now())),
        ("for another method", sign(&Asked { method: "DELETE", ..here }, forge::now())),
        ("of another signer", good.replacen(&requester.id().to_string(), &other.id().to_string(), 1)),
        ("of no form", "lob1".into()),
        ("of no end", "a".repeat(8000)),
    ];
    let url = world.worker.worker_url(&path);
    for (what, auth) in bad {
        let answer = Answer::of(http().get(&url).header(AUTH_HEADER, auth)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        answer.error(401, "invalid_auth");
    }
    Answer::of(http().get(&url)).await.error(401, "invalid_auth");
    assert_eq!(Answer::of(http().get(&url).header(AUTH_HEADER, good)).await.status, 200);
}

fn uuid() -> String {
    Requester::new().order(Requester::new().id(), &ask(MODEL, "")).order_id
}

/// An engine that says as much as it likes, whatever it was asked for: all at once, or word by word.
async fn talkative(words: usize, at_once: bool) -> Rogue {
    Rogue::start(move |request| match request.path.as_str() {
        "/api/tags" => {
            vec![rogue::answer(200, "", &json!({"models": [{"name": MODEL, "model": MODEL}]}).to_string())]
        }
        "/v1/chat/completions" if request.json()["stream"] == true => {
            let text = |at: usize| {
                let Act::Say(bytes) = rogue::words(&format!("w{at} ")) else { panic!("words") };
                bytes
            };
            let said: Vec<_> = (0..words).map(text).collect();
            let said = if at_once {
                vec![Act::Say(said.concat().into())]
            } else {
                said.into_iter().map(Act::Say).collect()
            };
            [vec![rogue::stream_head()], said, vec![rogue::say("data: [DONE]\n\n"), Act::Close]].concat()
        }
        "/v1/chat/completions" => {
            let usage = json!({"prompt_tokens": 9000, "completion_tokens": 9000, "total_tokens": 18000});
            let choice = json!({"index": 0, "message": {"role": "assistant", "content": "many words"}});
            vec![rogue::answer(200, "", &json!({"choices": [choice], "usage": usage}).to_string())]
        }
        _ => vec![rogue::error(404, "", "no")],
    })
    .await
}

#[tokio::test]
async fn an_engine_that_makes_more_than_was_ordered_is_cut_there_and_nobody_pays_for_more() {
    for at_once in [true, false] {
        let engine = talkative(3 * OUTPUT_MAX as usize, at_once).await;
        let worker = Node::worker(&stories::engine())
            .set("ollama.url", &format!("\"{}\"", engine.url()))
            .start()
            .await;
        let requester = Requester::new();
        let body = ask_stream(MODEL, "a hundred words");
        let order = requester.sign(requester.order(worker.id, &body));
        let events = Stream::of(ordered(&worker, &body, &order)).await.rest().await;
        assert!(is_done(&events), "{:?}", events.last());
        let words = text_of(&events).split_whitespace().count() as u64;
        assert_eq!(words, OUTPUT_MAX, "all that was ordered arrives, at once: {at_once}");
        let receipt = collected(&requester, &worker, &order).await;
        assert_eq!(receipt.usage.output_tokens, words);
        requester.agree_to(&worker, &order, &receipt).await;
        // A whole answer cannot be cut, and costs what was ordered.
        let whole = requester.ask(&worker, &ask(MODEL, "a hundred words")).await;
        let receipt = whole.receipt();
        assert_eq!(receipt.usage.output_tokens, OUTPUT_MAX);
        assert_eq!(receipt.answers.as_ref().unwrap().credits, whole.order.max_credits);
    }
}

#[tokio::test]
async fn a_reader_of_one_byte_a_second_loses_the_only_place_in_the_engine() {
    let world = World::with(|worker| worker.set("worker.concurrency", "1"), |gateway| gateway).await;
    world.engine.handle.set(Behaviour {
        answer_tokens: Some(3_000_000),
        times: Some(1),
        ..Behaviour::default()
    });
    let mut reader = Raw::with_a_small_window(world.worker.worker_address()).await;
    let mut endless = ask_stream(MODEL, "half a gigabyte");
    endless["max_tokens"] = json!(3_000_000);
    reader.post("/v1/chat/completions", "", &endless.to_string()).await;
    counts(&world.engine, "the reader's place", |counts| counts.tokens > 1000).await;
    let began = Instant::now();
    let dribble = stories::spawn(async move {
        while reader.read_byte().await.is_some() {
            tokio::time::sleep(A_SECOND).await;
        }
    });
    let next = to_worker(&world.worker, &ask(MODEL, "me too")).send();
    let next = tokio::time::timeout(Duration::from_secs(90), next).await.expect("the place is free").unwrap();
    assert_eq!(next.status(), 200);
    let waited = began.elapsed();
    eprintln!("a reader of a byte a second kept the only place for {waited:?}");
    assert!(waited < Duration::from_secs(75), "{waited:?}");
    drop(dribble);
    eventually("what it took is on the books", async || {
        (!world.worker.home().receipts().await.is_empty()).then_some(())
    })
    .await;
}
