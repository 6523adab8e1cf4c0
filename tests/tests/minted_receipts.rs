//! A key can sign whatever it likes about itself: what no requester ordered is nobody's debt, wherever it is
//! shown, and credit is between two nodes (SPEC section 4).
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use protocol::{Credits, Identity, Keypair, Order, Requester as Named, Signed, identity::Parsed};
use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use stories::{
    Act, Node, Requester, RogueWorker, World, ask,
    engine::MODEL,
    eventually_within,
    forge::{self, answering, now, signed},
    json, rogue,
};

/// The key of a node, as its owner has it.
fn key_of(node: &Node) -> Keypair {
    let text = fs::read_to_string(node.home().file("identity.json")).unwrap();
    match Identity::parse(&text).unwrap() {
        Parsed::Complete(identity) => identity.node,
        Parsed::WithoutNostr(node) => node,
    }
}

/// Reads receipts into a ledger.
async fn import(node: &Node, receipts: &[String]) {
    let file = node.home().write("minted.jsonl", &receipts.join("\n"));
    let said = node.home().run(&["receipts", "import", file.to_str().unwrap(), "--json"]).await.ok().json();
    assert_eq!(said["new"], receipts.len(), "they are rightly signed, and kept for the record: {said}");
}

#[tokio::test]
async fn receipts_that_a_worker_mints_to_itself_move_no_credit_anywhere() {
    let world = World::start().await;
    let key = key_of(&world.worker);
    let minted = |requester: Named| {
        let mut receipt = forge::receipt(world.worker.id, requester, now());
        receipt.usage.output_tokens = 1_000_000;
        signed(receipt, &key)
    };
    // One that claims to answer an order which its requester never signed.
    let victim = Requester::new();
    let never = victim.order(world.worker.id, &ask(MODEL, "never asked"));
    let unsigned = Requester::new().key.sign_text("no order");
    let claim = signed(answering(&never, protocol::canonical::sha256(&unsigned), b"never given"), &key);
    let all = [
        minted(Named::Node(world.gateway.id)),
        minted(Named::Node(victim.id())),
        minted(Named::Node(world.worker.id)),
        minted(Named::Anonymous),
        claim,
    ];
    for (node, with) in [(&world.worker, world.gateway.id), (&world.gateway, world.worker.id)] {
        let before = node.home().standing(with).await;
        import(node, &all).await;
        assert_eq!(node.home().standing(with).await, before);
        let nobody = node.home().standing(victim.id()).await;
        assert_eq!((&nobody["owedToMe"], &nobody["claimed"]), (&json!(0), &json!(0)), "{nobody}");
        node.home().assert_audit_is_clean().await;
    }
}

#[tokio::test]
async fn what_two_keys_sign_each_other_buys_nothing_at_a_third() {
    let engine = stories::engine();
    let worker = Node::worker(&engine).set("credit.newcomer_allowance", "1000").start().await;
    let [rich, friend] = [Requester::new(), Requester::new()];
    let mut receipt = forge::receipt(rich.id(), Named::Node(friend.id()), now());
    receipt.usage.output_tokens = 1_000_000_000;
    import(&worker, &[signed(receipt, &rich.key)]).await;
    let balance = worker.home().run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["self"]["net"], 0);
    let mut order = rich.order(worker.id, &ask(MODEL, "I am rich"));
    order.max_credits = Credits::saturating(1001);
    let request = stories::requester::ordered(&worker, &ask(MODEL, "I am rich"), &rich.sign(order));
    let error = stories::Answer::of(request).await.error(402, "insufficient_credit");
    assert_eq!(error["availableTokens"], 1000, "as much as anybody gets");
}

#[tokio::test]
async fn who_works_for_itself_is_owed_nothing_by_anybody_else() {
    let world = World::start().await;
    let own = Requester { key: key_of(&world.worker) };
    own.ask(&world.worker, &ask(MODEL, "well done, me")).await.receipt();
    assert_eq!(world.worker.home().standing(world.gateway.id).await["owedToMe"], 0);
    let balance = world.worker.home().run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["self"]["net"], 0, "{balance}");
    world.worker.home().assert_audit_is_clean().await;
}

/// An order, and whether more is to be claimed than it agrees to.
type Ordered = (Signed<Order>, bool);

/// A worker that never answers, and later shows receipts for what it never gave: twice what was ordered, and
/// exactly that.
async fn never_answers() -> RogueWorker {
    let orders: Arc<Mutex<HashMap<String, Ordered>>> = Arc::default();
    RogueWorker::start(move |asked| {
        let mut orders = orders.lock().unwrap();
        if asked.request.path == "/v1/chat/completions" {
            let greedy = asked.request.json()["messages"][0]["content"] == "greedy";
            let order = asked.order();
            orders.insert(order.unverified().order_id.clone(), (order, greedy));
            return vec![Act::Close];
        }
        let known = asked.request.path.strip_prefix("/v1/receipts/").and_then(|id| orders.get(id));
        let Some((order, greedy)) = known else {
            return vec![rogue::answer(200, "", "{\"accepted\":1,\"refused\":[]}")];
        };
        let terms = order.unverified();
        let mut receipt = answering(terms, order.sha256(), b"never given");
        (receipt.usage.input_tokens, receipt.usage.output_tokens) =
            (terms.max_input_tokens, terms.max_output_tokens);
        let credits = terms.max_credits.get() * if *greedy { 2 } else { 1 };
        receipt.answers.iter_mut().for_each(|answer| answer.credits = Credits::saturating(credits));
        vec![rogue::answer(200, "", &signed(receipt, asked.key))]
    })
    .await
}

#[tokio::test]
async fn for_an_answer_that_broke_off_no_more_is_owed_than_was_ordered() {
    let worker = never_answers().await;
    let gateway = Node::gateway().rogue(&worker).start().await;
    let mut ordered = 0;
    for prompt in ["greedy", "exact"] {
        let mut body = ask(MODEL, prompt);
        body["max_tokens"] = json!(50);
        gateway.answer(&body).await.error(502, "all_upstreams_failed");
        ordered = body.to_string().len().div_ceil(3) as u64 + 256 + 50;
    }
    eventually_within(Duration::from_secs(90), Duration::from_secs(1), "both are judged", async || {
        let judged = [gateway.receipts_counted("disputed").await, gateway.receipts_counted("accepted").await];
        (judged == [1, 1]).then_some(())
    })
    .await;
    let standing = gateway.home().standing(worker.id()).await;
    assert_eq!(standing["owedByMe"], ordered, "what nobody can compare counts up to its order");
    gateway.home().assert_audit_is_clean().await;
}
