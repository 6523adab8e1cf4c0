//! What was reported as kept is kept: `kill -9` in the middle of many exchanges loses nothing that a
//! tool saw, on either side.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};
use stories::{
    Home, Node, Task, Value, World, ask, ask_stream,
    client::{h2c, http},
    engine::MODEL,
    eventually, forge, spawn,
};

/// What tools saw with their own eyes.
#[derive(Debug, Default)]
struct Seen {
    /// Signatures of receipts in headers of whole answers.
    signatures: HashSet<String>,
    /// Streams that ended with `[DONE]`.
    streams: usize,
}

/// Tools that ask until nobody answers any more.
fn tools(gateway: &Node, seen: &Arc<Mutex<Seen>>) -> Vec<Task<()>> {
    let url = gateway.url("/v1/chat/completions");
    let tool = |at: usize| {
        let (url, seen) = (url.clone(), Arc::clone(seen));
        let client = if at.is_multiple_of(3) { h2c() } else { http() };
        spawn(async move {
            for turn in 0.. {
                let prompt = format!("tool {at}, turn {turn}");
                let streamed = turn % 2 == 1;
                let body = if streamed { ask_stream(MODEL, &prompt) } else { ask(MODEL, &prompt) };
                let Ok(response) = client
                    .post(&url)
                    .header("content-type", "application/json")
                    .body(body.to_string())
                    .send()
                    .await
                else {
                    return;
                };
                let receipt = response.headers().get("x-lobstah-receipt").cloned();
                let (status, Ok(text)) = (response.status(), response.text().await) else { return };
                if status != 200 {
                    return;
                }
                let mut seen = seen.lock().unwrap();
                if let Some(receipt) = receipt {
                    let receipt = forge::uncarried(receipt.to_str().unwrap());
                    seen.signatures.insert(receipt["signature"].as_str().unwrap().to_owned());
                } else if text.ends_with("data: [DONE]\n\n") {
                    seen.streams += 1;
                }
            }
        })
    };
    (0..8).map(tool).collect()
}

async fn signatures(home: &Home) -> HashSet<String> {
    let receipts: Vec<Value> = home.receipts().await;
    let signatures: HashSet<String> =
        receipts.iter().map(|entry| entry["signature"].as_str().unwrap().to_owned()).collect();
    assert_eq!(signatures.len(), receipts.len(), "each once");
    signatures
}

/// Lets tools work until they saw this many receipts more, kills with `kill`, and compares.
async fn nothing_is_lost(mut world: World, kill: impl Fn(&mut World)) -> World {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let tools = tools(&world.gateway, &seen);
    eventually("many exchanges", async || {
        let seen = seen.lock().unwrap();
        (seen.signatures.len() >= 60 && seen.streams >= 60).then_some(())
    })
    .await;
    kill(&mut world);
    for tool in tools {
        tool.join().await;
    }
    let World { engine, worker, gateway } = world;
    let world = World { engine, worker: worker.start_again().await, gateway: gateway.start_again().await };
    let (served, received) = (signatures(world.worker.home()).await, signatures(world.gateway.home()).await);
    let seen = seen.lock().unwrap();
    assert!(seen.signatures.is_subset(&served), "the worker lost {:?}", seen.signatures.difference(&served));
    assert!(
        seen.signatures.is_subset(&received),
        "the gateway lost {:?}",
        seen.signatures.difference(&received)
    );
    assert!(received.is_subset(&served), "a worker keeps what it signs before it shows it");
    assert!(received.len() >= seen.signatures.len() + seen.streams, "streams that ended were kept too");
    drop(seen);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_worker_and_gateway_in_the_middle_loses_nothing_that_a_tool_saw() {
    let world = nothing_is_lost(World::start().await, |world| {
        world.worker.kill();
        world.gateway.kill();
    })
    .await;
    // And once more on top of what was recovered, in the other order.
    let world = nothing_is_lost(world, |world| {
        world.gateway.kill();
        world.worker.kill();
    })
    .await;
    for node in [&world.worker, &world.gateway] {
        let audit = node.home().assert_audit_is_clean().await;
        assert_eq!(audit["entries"].as_u64().unwrap() as usize, node.home().receipts().await.len());
        let balance = node.get_json("/balance").await;
        assert_eq!(balance["totals"]["receipts"], audit["entries"]);
    }
    assert_eq!(world.gateway.answer(&ask(MODEL, "on we go")).await.status, 200);
}
