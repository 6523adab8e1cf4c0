//! Where a gateway spends: at prices that its owner agrees to, and first where it is owed.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::sync::atomic::{AtomicUsize, Ordering};
use stories::{
    Node, RogueWorker, ask,
    engine::{MODEL, engine},
    eventually, rogue,
};

#[tokio::test]
async fn a_worker_that_asks_for_more_than_is_agreed_to_is_not_used() {
    let engine = engine();
    let prices = format!("{{ \"{MODEL}\" = {{ input = 1000, output = 50000 }} }}");
    let dear = Node::worker(&engine).set("credit.prices", &prices).start().await;
    let gateway = Node::gateway().friend(&dear).start().await;
    let error = gateway.answer(&ask(MODEL, "hello")).await.error(502, "all_upstreams_failed");
    assert!(error["message"].as_str().unwrap().contains("gateway.max_price"), "{error}");
    assert_eq!(dear.home().receipts().await.len(), 0);
    let rich = Node::gateway().friend(&dear).set("gateway.max_price", "50000").start().await;
    assert_eq!(rich.answer(&ask(MODEL, "hello")).await.status, 200);
    let receipt = &rich.home().receipts().await[0]["receipt"];
    let [input, output, credits] =
        ["inputTokens", "outputTokens", "credits"].map(|field| receipt[field].as_u64().unwrap());
    assert_eq!(credits, (input * 1000 + output * 50_000).div_ceil(1000));
}

#[tokio::test]
async fn an_offer_that_changed_is_asked_for_and_ordered_anew() {
    let orders = AtomicUsize::new(0);
    let worker = RogueWorker::start(move |_| {
        vec![if orders.fetch_add(1, Ordering::Relaxed) == 0 {
            rogue::answer(
                409,
                "",
                r#"{"error":{"message":"another model now","type":"conflict","param":null,"code":"quote_changed"}}"#,
            )
        } else {
            rogue::answer(200, "", r#"{"choices":[]}"#)
        }]
    })
    .await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let answer = gateway.answer(&ask(MODEL, "hello")).await;
    assert_eq!((answer.status, answer.header("x-lobstah-attempts")), (200, Some("1")), "{}", answer.body);
    let asked: Vec<_> = worker.rogue.requests().into_iter().map(|request| request.path).collect();
    let chats = asked.iter().filter(|path| path.ends_with("/chat/completions")).count();
    let after_the_first = asked.iter().skip_while(|path| !path.ends_with("/chat/completions")).skip(1);
    assert_eq!(chats, 2);
    assert!(after_the_first.take(1).all(|path| path == "/capacity"), "{asked:?}");
}

#[tokio::test]
async fn credit_is_spent_where_it_is_owed() {
    let engine = engine();
    let debtor = Node::worker(&engine).route("to = [\"friends\"]").start().await;
    let other = Node::worker(&engine).start().await;
    let node = Node::worker(&engine).friend(&other).friend(&debtor).route("to = [\"friends\"]").start().await;
    debtor.home().run(&["peers", "add", &node.id.to_string(), &node.worker_url("")]).await.ok();
    debtor.knows_model(MODEL).await;
    for at in 0..8 {
        let earned = debtor.answer(&ask(MODEL, &format!("lend me a hand {at}"))).await;
        assert_eq!(earned.header("x-lobstah-worker"), Some(node.id.to_string().as_str()), "{}", earned.body);
    }

    let explained = eventually("what is owed counts", async || {
        let explained = node.home().run(&["route", "explain", MODEL, "--json"]).await.ok().json();
        let first = &explained["candidates"][0];
        first["reason"].as_str().unwrap().contains("owes us").then(|| first.clone())
    })
    .await;
    assert_eq!(explained["peer"], debtor.id.to_string());
    for at in 0..4 {
        let answer = node.answer(&ask(MODEL, &format!("back to you {at}"))).await;
        assert_eq!(answer.header("x-lobstah-worker"), Some(debtor.id.to_string().as_str()));
    }
}
