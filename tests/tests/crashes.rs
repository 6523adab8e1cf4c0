//! A crash at any step of order → serve → receipt → ack, on either side: after the restart and the next
//! contact both books agree, nothing is charged twice and nothing that was made is forgotten.
//!
//! The process ends itself at a named place (`gateway/src/fail_point.rs`), which is as good as `kill -9`
//! there: nothing is flushed, nobody is told. Builds for users have no such places.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

#[path = "../../gateway/src/fail_point.rs"]
#[allow(dead_code, unreachable_pub, reason = "a file of the program, which uses all of it")]
mod fail_point;

use fail_point::FailPoint;
use futures::{StreamExt, stream};
use std::{collections::HashSet, time::Duration};
use stories::{Node, Setup, Value, World, ask, ask_stream, engine::MODEL, eventually, json};
use tokio::time::{Instant, sleep};

/// A receipt that did not arrive is asked for after some 20 s, and the machine has other things to do.
const BOOKS_AGREE_WITHIN: Duration = Duration::from_secs(120);

/// Worlds at once: most of their time is waiting.
const AT_ONCE: usize = 12;

/// Which process ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Gateway,
    Worker,
}

const fn side(point: FailPoint) -> Side {
    match point {
        FailPoint::OrderPlaced
        | FailPoint::OrderSent
        | FailPoint::TokenReceived
        | FailPoint::ReceiptReceived
        | FailPoint::ReceiptKept
        | FailPoint::AckDue
        | FailPoint::AckSent
        | FailPoint::AckNoted => Side::Gateway,
        FailPoint::OrderAdmitted
        | FailPoint::EngineAsked
        | FailPoint::TokenSent
        | FailPoint::ReceiptSigned
        | FailPoint::ReceiptClaimed
        | FailPoint::ReceiptSent
        | FailPoint::AckReceived
        | FailPoint::AckTaken => Side::Worker,
    }
}

/// Whether an answer in one piece comes there too.
const fn is_of_streams(point: FailPoint) -> bool {
    matches!(point, FailPoint::TokenReceived | FailPoint::TokenSent)
}

/// What the books of both say of each other.
#[derive(Debug, PartialEq, Eq)]
struct Books {
    owed: u64,
    claimed: u64,
    reserved: u64,
    charges: HashSet<(String, String)>,
}

/// Receipts by order, each with its signature: none of them answers the same order as another.
async fn charges(node: &Node) -> HashSet<(String, String)> {
    let receipts = node.home().receipts().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let orders: HashSet<String> = receipts.iter().map(|one| text(&one["receipt"]["jobId"])).collect();
    assert_eq!(orders.len(), receipts.len(), "an order was charged twice: {receipts:?}");
    receipts.iter().map(|one| (text(&one["receipt"]["jobId"]), text(&one["signature"]))).collect()
}

async fn books(node: &Node, with: &Node, owed: &str) -> Books {
    let standing = node.home().standing(with.id).await;
    let number = |name: &str| standing[name].as_u64().unwrap();
    Books {
        owed: number(owed),
        claimed: number("claimed"),
        reserved: number("reserved"),
        charges: charges(node).await,
    }
}

/// Waits until both books say the same, nothing is held and nothing waits for a word.
async fn both_agree(what: &str, world: &World) -> Books {
    let deadline = Instant::now() + BOOKS_AGREE_WITHIN;
    loop {
        let worker = books(&world.worker, &world.gateway, "owedToMe").await;
        let gateway = books(&world.gateway, &world.worker, "owedByMe").await;
        if worker == gateway && worker.claimed == 0 && worker.reserved == 0 {
            return worker;
        }
        assert!(Instant::now() < deadline, "{what}: the worker has {worker:?}, the gateway {gateway:?}");
        // Each look is four processes.
        sleep(Duration::from_secs(1)).await;
    }
}

/// Asks and takes what comes, an error or a broken stream too.
async fn try_to_ask(gateway: &Node, body: &Value) {
    if let Ok(response) = gateway.chat(body).send().await {
        let _ = response.bytes().await;
    }
}

/// A world in which the one side ends at this place.
async fn doomed(point: FailPoint) -> World {
    let at = |wanted: Side| {
        move |setup: Setup| match side(point) == wanted {
            true => setup.env("LOBSTAH_FAIL_AT", point.name()),
            false => setup,
        }
    };
    World::with(at(Side::Worker), at(Side::Gateway)).await
}

async fn restarted(world: World, point: FailPoint) -> World {
    let World { engine, mut worker, mut gateway } = world;
    let dead = if side(point) == Side::Worker { &mut worker } else { &mut gateway };
    let status = dead.ended().await;
    assert!(!status.success(), "{point:?}: {status}");
    let again = |node: Node| node.start_again_with(|setup| setup.without_env("LOBSTAH_FAIL_AT"));
    match side(point) {
        Side::Worker => World { engine, worker: again(worker).await, gateway },
        Side::Gateway => World { engine, worker, gateway: again(gateway).await },
    }
}

async fn a_crash_at(point: FailPoint, streamed: bool) {
    let what = format!("{point:?}, {}", if streamed { "streamed" } else { "whole" });
    let question = |text: &str| if streamed { ask_stream(MODEL, text) } else { ask(MODEL, text) };
    let world = doomed(point).await;
    try_to_ask(&world.gateway, &question("before")).await;
    let world = restarted(world, point).await;
    // The next contact.
    eventually("the worker serves again", async || {
        let answer = world.gateway.answer(&ask(MODEL, "after")).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let agreed = both_agree(&what, &world).await;
    assert!((1..=2).contains(&agreed.charges.len()), "{what}: {agreed:?}");
    let kept = matches!(
        point,
        FailPoint::ReceiptReceived
            | FailPoint::ReceiptKept
            | FailPoint::AckDue
            | FailPoint::AckSent
            | FailPoint::AckNoted
            | FailPoint::ReceiptClaimed
            | FailPoint::ReceiptSent
            | FailPoint::AckReceived
            | FailPoint::AckTaken
    );
    assert!(!kept || agreed.charges.len() == 2, "{what}: a receipt was lost: {agreed:?}");
    let nobodys =
        [FailPoint::OrderPlaced, FailPoint::OrderAdmitted, FailPoint::ReceiptSigned].contains(&point);
    assert!(!nobodys || agreed.charges.len() == 1, "{what}: nobody had an answer: {agreed:?}");
    for node in [&world.worker, &world.gateway] {
        node.home().assert_audit_is_clean().await;
        let settled = node.home().run(&["receipts", "list", "--json"]).await.ok().json();
        let states: Vec<&Value> = settled.as_array().unwrap().iter().map(|one| &one["state"]).collect();
        assert!(states.iter().all(|state| **state == json!("settled")), "{what}: {states:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_books_agree_after_a_crash_at_any_step_and_nothing_is_charged_twice() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: this build has no places to fail at");
        return;
    }
    let cases = FailPoint::ALL
        .into_iter()
        .flat_map(|point| [(point, true), (point, false)])
        .filter(|(point, streamed)| *streamed || !is_of_streams(*point));
    stream::iter(cases).for_each_concurrent(AT_ONCE, |(point, streamed)| a_crash_at(point, streamed)).await;
}
