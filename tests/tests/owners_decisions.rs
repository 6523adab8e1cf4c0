//! What an owner decides from the command line holds from the next request on, in a node that runs: who is
//! lent how much, who is refused, what is forgiven and what was paid elsewhere (SPEC sections 4 and 8).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::ack::Verdict;
use stories::{
    Home, Node, Requester, Value, World, ask,
    engine::MODEL,
    eventually, json,
    requester::{acknowledge, named, to_worker},
};

async fn worker() -> (stories::Engine, Node) {
    let engine = stories::engine();
    let worker = Node::worker(&engine)
        .set("credit.newcomer_allowance", "1000")
        .set("credit.anonymous", "0")
        .set("credit.trust_requester_header", "true")
        .start()
        .await;
    (engine, worker)
}

fn body() -> Value {
    ask(MODEL, "May I?")
}

async fn credit(home: &Home, args: &[&str]) -> String {
    home.run(&[&["credit"], args].concat()).await.ok().stdout
}

async fn number(home: &Home, with: protocol::NodeId, name: &str) -> u64 {
    home.standing(with).await[name].as_u64().unwrap()
}

#[tokio::test]
async fn what_an_owner_lends_holds_from_the_next_request_on() {
    let (_engine, worker) = worker().await;
    let (requester, home) = (Requester::new(), worker.home());
    let key = requester.id().to_string();
    for (lent, status) in [("0", 402), ("100000", 200), ("1", 402)] {
        credit(home, &["lend", &key, lent]).await;
        assert_eq!(requester.ask(&worker, &body()).await.answer.status, status, "lent {lent}");
        assert_eq!(number(home, requester.id(), "line").await, lent.parse::<u64>().unwrap());
    }
    // The settings decide again.
    credit(home, &["lend", &key]).await;
    assert_eq!(number(home, requester.id(), "line").await, 1000);
    home.assert_audit_is_clean().await;
}

#[tokio::test]
async fn who_is_blocked_gets_nothing_by_any_name_until_it_is_unblocked() {
    let (engine, worker) = worker().await;
    let (requester, home) = (Requester::new(), worker.home());
    let key = requester.id().to_string();
    credit(home, &["lend", &key, "100000"]).await;
    credit(home, &["block", &key]).await;
    let error = requester.ask(&worker, &body()).await.answer.error(402, "insufficient_credit");
    assert_eq!(error["availableTokens"], 0);
    stories::Answer::of(named(&worker, &body(), requester.id())).await.error(402, "insufficient_credit");
    let worker = worker.start_again().await;
    requester.ask(&worker, &body()).await.answer.error(402, "insufficient_credit");
    assert_eq!(engine.handle.counts().received, 0);
    credit(worker.home(), &["unblock", &key]).await;
    assert_eq!(requester.ask(&worker, &body()).await.answer.status, 200);
    stories::Answer::of(to_worker(&worker, &body())).await.error(402, "insufficient_credit");
}

/// A pair that has settled something.
async fn settled() -> (World, u64) {
    let world = World::start().await;
    assert_eq!(world.gateway.answer(&body()).await.status, 200);
    let owed = eventually("it is settled", async || {
        let owed = number(world.worker.home(), world.gateway.id, "owedToMe").await;
        (owed > 0).then_some(owed)
    })
    .await;
    assert_eq!(number(world.gateway.home(), world.worker.id, "owedByMe").await, owed);
    (world, owed)
}

#[tokio::test]
async fn a_payment_counts_on_either_side_once_both_have_signed() {
    let (world, owed) = settled().await;
    let (gateway, worker) = (world.gateway.home(), world.worker.home());
    let to = world.worker.id.to_string();
    let says = async || {
        [
            number(gateway, world.worker.id, "owedByMe").await,
            number(worker, world.gateway.id, "owedToMe").await,
        ]
    };
    let proposed = credit(gateway, &["settle", &to, "10"]).await;
    assert_eq!(says().await, [owed, owed], "one signature moves nothing");
    // The other side signs the same, and hands its own back.
    let file = worker.write("proposed.json", &proposed);
    let accepted = credit(worker, &["settle", "--accept", file.to_str().unwrap()]).await;
    assert_eq!(says().await, [owed, owed - 10]);
    let file = gateway.write("accepted.json", &accepted);
    credit(gateway, &["settle", "--accept", file.to_str().unwrap()]).await;
    assert_eq!(says().await, [owed - 10, owed - 10]);
    // Neither counts twice, and what was changed on the way counts not at all.
    credit(gateway, &["settle", "--accept", file.to_str().unwrap()]).await;
    let file = worker.write("proposed.json", &proposed);
    credit(worker, &["settle", "--accept", file.to_str().unwrap()]).await;
    let more = worker.write("more.json", &proposed.replace("\"credits\":10", "\"credits\":11"));
    let refused = worker.run(&["credit", "settle", "--accept", more.to_str().unwrap()]).await;
    assert_eq!(refused.code(), 1, "{}", refused.stdout);
    assert_eq!(says().await, [owed - 10, owed - 10]);
    let stranger = Home::new();
    let others = stranger.write("others.json", &proposed);
    let said = stranger.run(&["credit", "settle", "--accept", others.to_str().unwrap()]).await;
    assert!(said.code() == 1 && said.stderr.contains("between other nodes"), "{}", said.stderr);
    for home in [gateway, worker] {
        home.assert_audit_is_clean().await;
    }
}

#[tokio::test]
async fn what_the_creditor_forgives_is_owed_no_more_on_either_side() {
    let (world, owed) = settled().await;
    let (gateway, worker) = (world.gateway.home(), world.worker.home());
    let debtor = world.gateway.id.to_string();
    let too_much = worker.run(&["credit", "forgive", &debtor, &(owed + 1).to_string()]).await;
    assert!(too_much.code() == 1 && too_much.stderr.contains("forgive at most"), "{}", too_much.stderr);
    let forgiven = credit(worker, &["forgive", &debtor, "5"]).await;
    assert_eq!(number(worker, world.gateway.id, "owedToMe").await, owed - 5);
    let file = gateway.write("forgiven.json", &forgiven);
    credit(gateway, &["settle", "--accept", file.to_str().unwrap()]).await;
    assert_eq!(number(gateway, world.worker.id, "owedByMe").await, owed - 5);
    // A debtor forgives itself nothing.
    let own = gateway.run(&["credit", "forgive", &world.worker.id.to_string(), "5"]).await;
    assert_eq!(own.code(), 1, "{}{}", own.stdout, own.stderr);
    assert_eq!(number(gateway, world.worker.id, "owedByMe").await, owed - 5);
    for home in [gateway, worker] {
        home.assert_audit_is_clean().await;
    }
}

#[tokio::test]
async fn a_disputed_order_holds_its_line_until_the_owner_forgives_it() {
    let (_engine, worker) = worker().await;
    let (requester, home) = (Requester::new(), worker.home());
    let served = requester.ask(&worker, &body()).await;
    let no = requester.word(&served.order, &served.receipt(), Verdict::Dispute(None));
    assert_eq!(acknowledge(&worker, &[no]).await, json!({"accepted": 1, "refused": []}));
    let charged = served.receipt().answers.as_ref().unwrap().credits.get();
    assert_eq!(number(home, requester.id(), "available").await, 1000 - charged);
    let (key, id) = (requester.id().to_string(), served.order.order_id.clone());
    let wrong = home.run(&["credit", "forgive", &key, &(charged + 1).to_string(), "--order", &id]).await;
    assert_eq!(wrong.code(), 1, "{}", wrong.stdout);
    credit(home, &["forgive", &key, &charged.to_string(), "--order", &id]).await;
    assert_eq!(number(home, requester.id(), "available").await, 1000);
    let again = home.run(&["credit", "forgive", &key, &charged.to_string(), "--order", &id]).await;
    assert!(again.code() == 1 && again.stderr.contains("forgiven already"), "{}", again.stderr);
    home.assert_audit_is_clean().await;
}
