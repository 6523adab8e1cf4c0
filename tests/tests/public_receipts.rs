//! Receipts that their worker makes public, and what others make of them: hearsay.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{Home, Node, World, ask, engine::MODEL, eventually, process::Process};

/// `lobstah relay start` on a port that the system chose, and its URL.
async fn relay() -> (Process, Home, String) {
    let home = Home::new();
    let mut process = Process::start(&home, &["relay", "start", "--port", "0"]);
    let url = process
        .says("where it is", |text| {
            text.split_whitespace().find(|word| word.starts_with("ws://127.0.0.1:")).map(str::to_owned)
        })
        .await;
    (process, home, url)
}

async fn claimed(home: &Home) -> serde_json::Value {
    home.run(&["balance", "--network", "--json"]).await.ok().json()
}

#[tokio::test]
async fn public_receipts_are_seen_by_all_and_believed_by_nobody() {
    let (_process, _home, relay) = relay().await;
    let relays = format!("[\"{relay}\"]");
    let world = World::with(
        |worker| worker.set("discovery.relays", &relays).set("discovery.publish_receipts", "true"),
        |gateway| gateway,
    )
    .await;
    let marks = || world.worker.home().file("published-receipts").exists();
    eventually("the worker knows what is new", async || marks().then_some(())).await;
    for at in 0..3 {
        world.gateway.answer(&ask(MODEL, &format!("number {at}"))).await;
    }
    // Somebody who never had to do with either of them.
    let other = Node::gateway().set("discovery.relays", &relays).start().await;
    let before = other.get_json("/balance").await;
    let seen = eventually("three receipts are public", async || {
        let seen = claimed(other.home()).await;
        (seen["network"]["receipts"] == 3).then_some(seen)
    })
    .await;
    let network = &seen["network"];
    assert_eq!((&network["refused"], &network["leftOut"]), (&0.into(), &0.into()), "{network}");
    let rows = network["perPeer"].as_array().unwrap();
    let row = |id: String| rows.iter().find(|row| row["pubkey"] == id).unwrap();
    let (worker, gateway) = (row(world.worker.id.to_string()), row(world.gateway.id.to_string()));
    assert_eq!(worker["earned"], gateway["spent"]);
    assert!(worker["earned"].as_u64().unwrap() > 0);
    assert_eq!(other.get_json("/balance").await, before, "hearsay is nobody's debt");
    assert_eq!(seen["peers"], serde_json::json!([]));
    let told = other.home().run(&["balance", "--network"]).await.ok().stdout;
    assert!(told.contains("3 receipts made public") && told.contains("change no credit"), "{told}");
}

#[tokio::test]
async fn what_was_before_it_was_wanted_stays_private() {
    let (_process, _home, relay) = relay().await;
    let relays = format!("[\"{relay}\"]");
    let world = World::with(|worker| worker.set("discovery.relays", &relays), |gateway| gateway).await;
    world.gateway.answer(&ask(MODEL, "between us")).await;
    let settings = world.worker.home().file("lobstah.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let wanted = before.replace("[discovery]\n", "[discovery]\npublish_receipts = true\n");
    world.worker.home().write("lobstah.toml", &wanted);
    let marks = || world.worker.home().file("published-receipts").exists();
    eventually("the worker knows what is new", async || marks().then_some(())).await;
    world.gateway.answer(&ask(MODEL, "for all to see")).await;
    let network = eventually("a receipt is public", async || {
        let network = claimed(world.worker.home()).await["network"].clone();
        (network["receipts"] != 0).then_some(network)
    })
    .await;
    assert_eq!(network["receipts"], 1, "{network}");
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_said_and_the_own_balance_shown_all_the_same() {
    let gone = format!("[\"ws://{}\"]", stories::node::closed_port());
    let node = Node::gateway().set("discovery.relays", &gone).start().await;
    let said = node.home().run(&["balance", "--network"]).await;
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stdout.contains(&node.id.to_string()) && said.stdout.contains("0 receipts made public"));
}
