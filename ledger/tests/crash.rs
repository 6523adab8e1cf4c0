//! What a process leaves behind that is killed between two steps, and what another makes of it.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id,
    trade::{ack, answer, friend, later, ok, order},
};
use ledger::{AdmitError, Collected, Ledger, Posted, Refusal, Standing};
use protocol::ack::Verdict;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

const CHILD_LEDGER: &str = "LEDGER_TEST_CHILD";

/// Another process that runs `test` on the ledger of `home` until it says that it is there, and on.
fn spawn_child(test: &str, home: &Home) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_LEDGER, home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("there")), "{test} ended early");
    child
}

/// The same, killed there.
fn killed(test: &str, home: &Home) {
    let mut child = spawn_child(test, home);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Where the ledger is, if this process is such a child.
fn child_ledger() -> Option<Ledger> {
    let path = PathBuf::from(std::env::var_os(CHILD_LEDGER)?);
    Some(Ledger::open(&path, id(1)).unwrap())
}

#[allow(clippy::print_stdout, reason = "its parent reads it")]
fn say_so() {
    println!("there");
}

/// Says that the child is where it is to be killed, and waits for that.
async fn there() {
    say_so();
    std::future::pending().await
}

#[tokio::test]
async fn child_admits() {
    let Some(ledger) = child_ledger() else { return };
    let held = ledger.admit(&order(2, 1, 1, 100), friend(100), NOW).await.unwrap();
    there().await;
    drop(held);
}

#[tokio::test]
async fn what_a_killed_process_had_reserved_is_given_back() {
    let home = Home::new();
    killed("child_admits", &home);
    assert_eq!(home.standing(2).reserved, 100);
    let ledger = home.open();
    // Replayed after the crash, it is still the same order.
    let again = ledger.admit(&order(2, 1, 1, 100), friend(100), NOW).await;
    assert!(matches!(again, Err(AdmitError::AlreadyTaken)));
    let held = ledger.admit(&order(2, 1, 2, 100), friend(100), NOW).await.unwrap();
    assert_eq!(home.standing(2), Standing { open_orders: 1, reserved: 100, ..Standing::default() });
    let collect = |n| ledger.receipt_for(id(2), common::trade::uuid(n));
    assert_eq!(collect(1).await.unwrap(), Collected::Nothing);
    assert_eq!(collect(2).await.unwrap(), Collected::Running);
    drop(held);
    // A job that is run again has its order still.
    home.wait_until_idle(2);
    let held = ledger.resume(id(2), &common::trade::uuid(1), friend(100), NOW).await.unwrap();
    ledger.claim(held, answer(&order(2, 1, 1, 100), 1, 90), NOW).await.unwrap();
    ledger.close();
    home.assert_sound();
    let left: Vec<_> = home.beside().into_iter().filter(|name| name.contains("-run-")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn what_another_living_process_has_reserved_is_left_to_it() {
    let home = Home::new();
    let mut child = spawn_child("child_admits", &home);
    let ledger = home.open();
    assert_eq!(ledger.release_orphans(NOW).await.unwrap(), 0);
    let refused = ledger.admit(&order(2, 1, 2, 1), friend(100), NOW).await;
    assert!(matches!(refused, Err(AdmitError::Refused(Refusal::Insufficient { .. }))));
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody asked for it to be looked after: who would be refused for it does, once a second.
    drop(ledger.admit(&order(2, 1, 3, 100), friend(100), later(1000)).await.unwrap());
    ledger.close();
    assert_eq!(home.standing(2), Standing::default());
    home.assert_sound();
}

#[tokio::test]
async fn child_claims() {
    let Some(ledger) = child_ledger() else { return };
    let taken = order(2, 1, 1, 100);
    let held = ledger.admit(&taken, friend(100), NOW).await.unwrap();
    ledger.claim(held, answer(&taken, 1, 60), NOW).await.unwrap();
    there().await;
}

#[tokio::test]
async fn a_claim_survives_and_is_settled_by_whoever_runs_next() {
    let home = Home::new();
    killed("child_claims", &home);
    let ledger = home.open();
    let receipt = answer(&order(2, 1, 1, 100), 1, 60);
    let collected = ledger.receipt_for(id(2), common::trade::uuid(1)).await.unwrap();
    assert_eq!(collected, Collected::Ready(receipt.to_json()));
    ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
    assert_eq!(home.standing(2), Standing { settled_orders: 1, earned: 60, ..Standing::default() });
    home.assert_sound();
}

#[tokio::test]
async fn child_takes_an_ack() {
    let Some(ledger) = child_ledger() else { return };
    let taken = order(2, 1, 1, 100);
    let held = ledger.admit(&taken, friend(100), NOW).await.unwrap();
    let receipt = answer(&taken, 1, 60);
    ledger.claim(held, receipt.clone(), NOW).await.unwrap();
    ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
    there().await;
}

#[tokio::test]
async fn an_acknowledgement_that_was_accepted_survives() {
    let home = Home::new();
    killed("child_takes_an_ack", &home);
    assert_eq!(home.standing(2).earned, 60);
    home.assert_sound();
}

#[tokio::test]
async fn child_places() {
    let Some(ledger) = child_ledger() else { return };
    ledger.place(&order(1, 2, 1, 100), NOW).await.unwrap();
    there().await;
}

#[tokio::test]
async fn an_order_that_was_placed_is_remembered_and_its_receipt_collected() {
    let home = Home::new();
    killed("child_places", &home);
    let ledger = home.open();
    let awaited = ledger.unanswered(NOW, NOW, 10).await.unwrap();
    assert_eq!(awaited[0].order, *order(1, 2, 1, 100).signed());
    let receipt = answer(&order(1, 2, 1, 100), 2, 60);
    let posted = ledger.post_received(receipt.clone(), ack(1, &receipt, Verdict::Ok), NOW).await.unwrap();
    assert_eq!(posted, Posted::New { seq: 1 });
    home.assert_sound();
}

#[tokio::test]
async fn child_receives() {
    let Some(ledger) = child_ledger() else { return };
    let placed = order(1, 2, 1, 100);
    ledger.place(&placed, NOW).await.unwrap();
    let receipt = answer(&placed, 2, 60);
    ledger.post_received(receipt.clone(), ack(1, &receipt, Verdict::Ok), NOW).await.unwrap();
    there().await;
}

#[tokio::test]
async fn an_acknowledgement_of_ours_waits_through_a_kill() {
    let home = Home::new();
    killed("child_receives", &home);
    let ledger = home.open();
    let receipt = answer(&order(1, 2, 1, 100), 2, 60);
    let again = ledger.post_received(receipt.clone(), ack(1, &receipt, Verdict::Ok), NOW).await.unwrap();
    assert_eq!(again, Posted::Already { seq: 1 });
    let due = ledger.due(NOW, 10).await.unwrap();
    assert_eq!((due.len(), due[0].worker, due[0].ids.len()), (1, id(2), 1));
    home.assert_sound();
}

#[tokio::test]
async fn child_trades_until_it_is_killed() {
    let Some(ledger) = child_ledger() else { return };
    for n in 0.. {
        let taken = order(2, 1, n, 100);
        let held = ledger.admit(&taken, friend(1_000_000_000), NOW).await.unwrap();
        let receipt = answer(&taken, 1, 60);
        ledger.claim(held, receipt.clone(), NOW).await.unwrap();
        ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
        if n == 20 {
            say_so();
        }
    }
}

#[tokio::test]
async fn wherever_it_is_killed_the_books_are_sound() {
    for _ in 0..5 {
        let home = Home::new();
        killed("child_trades_until_it_is_killed", &home);
        let ledger = home.open();
        ledger.release_orphans(NOW).await.unwrap();
        let standing = home.standing(2);
        assert_eq!(standing.open_orders, 0);
        assert!(standing.settled_orders >= 20 && standing.claims <= 1, "{standing:?}");
        assert_eq!(standing.earned, 60 * standing.settled_orders);
        home.assert_sound();
    }
}
