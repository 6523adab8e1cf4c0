//! Where the lines of a batch may go: where the owner's routes lead, and of that what the batch wants.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::collections::HashSet;
use stories::{
    Answer, Node,
    batches::{A_WHILE, short_lines},
    engine,
    engine::{MODEL, bodies},
    fleet::{Worker, gateway_of, workers},
    json,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sends_no_line_where_the_owners_route_does_not_lead() {
    let [friend]: [Worker; 1] = workers().await;
    let engine = engine();
    // A model that may leave this machine, so that the name is one that a route leads to.
    let free = "[[routes]]\nmodel = \"free:*\"\nto = [\"local\", \"friends\"]\n";
    let setup = gateway_of([&friend]).ollama(&engine).table(free);
    let gateway = setup.route("to = [\"local\"]").start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, 3), json!({"to": "friends"})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_whole(3);
    assert_eq!(ended.error_codes(), HashSet::from(["model_not_found".to_owned()]));
    let message = ended.errors[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("metadata.to"), "{message}");
    assert_eq!((friend.asked(), bodies(&engine).len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_of_a_route_what_it_wants() {
    let [friend]: [Worker; 1] = workers().await;
    let engine = engine();
    let gateway = gateway_of([&friend]).ollama(&engine).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, 6), json!({"to": "friends"})).await;
    gateway.batch_ended(&id, A_WHILE).await.assert_answered(6);
    assert_eq!((friend.asked(), bodies(&engine).len()), (6, 0));
}

#[tokio::test]
async fn a_place_that_no_route_leads_to_is_refused_when_the_batch_is_created() {
    let node = Node::gateway().start().await;
    let file = node.upload("batch", "lines.jsonl", short_lines(MODEL, 1).as_bytes()).await;
    for to in ["freinds", "network", "local,freinds"] {
        let error = Answer::of(node.post_batch(&file["id"], &json!({"metadata": {"to": to}}))).await;
        assert_eq!(error.error(400, "invalid_value")["param"], "metadata.to", "{to}");
    }
}
