//! `lobstah share`: an owner begins and ends to work for others while the node runs.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::net::TcpListener;
use stories::{
    Answer, Home, Node, Value, World, ask,
    client::http,
    engine::{MODEL, engine},
    eventually,
};

async fn share(home: &Home, what: &str) -> Value {
    home.run(&["share", what, "--json"]).await.ok().json()
}

#[tokio::test]
async fn a_gateway_works_for_others_when_its_owner_says_so_and_until_he_says_no() {
    let engine = engine();
    let node = Node::gateway().ollama(&engine).set("worker.listen", "\"127.0.0.1:0\"").start().await;
    let before = share(node.home(), "status").await;
    assert_eq!((&before["sharing"], &before["listen"]), (&false.into(), &Value::Null), "{before}");

    let on = share(node.home(), "on").await;
    assert_eq!((&on["sharing"], &on["announcing"]), (&true.into(), &false.into()), "{on}");
    assert!(on["models"].as_array().unwrap().contains(&MODEL.into()), "{on}");
    let url = format!("http://{}", on["listen"].as_str().unwrap());
    let gateway = Node::gateway().friend_at(node.id, &url).start().await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    let earned = share(node.home(), "on").await;
    assert!(earned["earned"].as_u64().unwrap() > 0, "on twice is on: {earned}");
    assert_eq!(earned["listen"], on["listen"]);
    let told = node.home().run(&["share"]).await.ok().stdout;
    assert!(told.contains(&url) && told.contains(MODEL), "{told}");

    assert_eq!(share(node.home(), "off").await["sharing"], false);
    eventually("nobody listens there any more", async || {
        http().get(format!("{url}/healthz")).send().await.is_err().then_some(())
    })
    .await;
    assert_eq!(node.answer(&ask(MODEL, "and I?")).await.status, 200, "the owner is served as before");
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has() {
    let world = World::start().await;
    let mut stream = world.gateway.stream(&stories::ask_stream(MODEL, "a long story")).await;
    assert_eq!(share(world.worker.home(), "off").await["sharing"], false);
    assert!(stories::client::is_done(&stream.rest().await));
    let on = share(world.worker.home(), "on").await;
    assert_eq!(on["sharing"], true);
    let answer = Answer::of(http().get(format!("http://{}/healthz", on["listen"].as_str().unwrap()))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("\"{}\"", taken.local_addr().unwrap());
    let node = Node::gateway().set("worker.listen", &listen).start().await;
    let said = node.home().run(&["share", "on"]).await;
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("cannot listen"), "{}", said.stderr);
    let nobody = Home::new().run(&["share"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.stderr.contains("lobstah up"), "{}", nobody.stderr);
    assert_eq!(Home::new().run(&["share", "perhaps"]).await.status.code(), Some(2));
}
