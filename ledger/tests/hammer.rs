//! Many at once, in several processes' worth of handles: what pays for a hundred admits a hundred.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id,
    trade::{ack, answer, credits, friend, newcomer, ok, order},
};
use ledger::{AdmitError, Ledger, Party, Pool, Refusal, Standing};
use protocol::{Keypair, Order, Verified, ack::Verdict};
use tokio::task::JoinSet;

const COST: u64 = 70;

/// Who may run them, in several threads.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap()
}

#[test]
fn five_hundred_at_once_are_admitted_as_far_as_the_line_pays() {
    let home = Home::new();
    let handles = [home.open(), home.open()];
    let orders: Vec<_> = (0..500).map(|n| order(2, 1, n, COST)).collect();
    let admitted = runtime().block_on(async {
        let mut admitting = JoinSet::new();
        for (n, order) in orders.into_iter().enumerate() {
            let ledger = handles[n % 2].clone();
            admitting.spawn(async move { ledger.admit(&order, friend(100 * COST + COST - 1), NOW).await });
        }
        admitting.join_all().await
    });
    let held: Vec<_> = admitted.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(held.len(), 100);
    let refused = admitted.iter().filter(|outcome| {
        matches!(outcome, Err(AdmitError::Refused(Refusal::Insufficient { available })) if *available == credits(COST - 1))
    });
    assert_eq!(refused.count(), 400);
    assert_eq!(home.standing(2), Standing { open_orders: 100, reserved: 100 * COST, ..Standing::default() });
    drop(admitted);
    handles.into_iter().for_each(|ledger| ledger.close());
    assert_eq!(home.standing(2), Standing::default());
    home.assert_sound();
}

#[test]
fn one_order_that_comes_a_hundred_times_at_once_is_taken_once() {
    let home = Home::new();
    let handles = [home.open(), home.open()];
    let outcomes = runtime().block_on(async {
        let mut admitting = JoinSet::new();
        for n in 0..100 {
            let ledger = handles[n % 2].clone();
            admitting.spawn(async move { ledger.admit(&order(2, 1, 1, COST), friend(1_000_000), NOW).await });
        }
        admitting.join_all().await
    });
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(AdmitError::AlreadyTaken))).count();
    assert_eq!((taken, refused), (1, 99));
}

#[test]
fn a_thousand_new_keys_at_once_share_one_pool() {
    let home = Home::new();
    let handles = [home.open(), home.open()];
    let orders: Vec<_> = (0..1000u128).map(of_a_new_key).collect();
    let pool = 20_000;
    let admitted = runtime().block_on(async {
        let mut admitting = JoinSet::new();
        for (n, order) in orders.into_iter().enumerate() {
            let ledger = handles[n % 2].clone();
            admitting.spawn(async move { ledger.admit(&order, newcomer(10_000, pool), NOW).await });
        }
        admitting.join_all().await
    });
    let held = admitted.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert_eq!(held, pool / COST);
    let reader = handles[0].reader().unwrap();
    assert_eq!(reader.drawn(Pool::Newcomers, NOW).unwrap().credits, held * COST);
    assert_eq!(reader.standings(None, 2000).unwrap().len() as u64, held);
    // Paged, they are the same.
    let mut paged = Vec::new();
    while let Some(page) =
        Some(reader.standings(paged.last().map(|(who, _)| *who), 7).unwrap()).filter(|page| !page.is_empty())
    {
        paged.extend(page);
    }
    assert_eq!(paged, reader.standings(None, 2000).unwrap());
    drop(admitted);
    handles.into_iter().for_each(|ledger| ledger.close());
    assert_eq!(home.open().reader().unwrap().drawn(Pool::Newcomers, NOW).unwrap().credits, 0);
    home.assert_sound();
}

/// An order of a key that nobody has seen.
fn of_a_new_key(n: u128) -> Verified<Order> {
    let mut seed = [0xC3; 32];
    seed[..16].copy_from_slice(&n.to_be_bytes());
    let key = Keypair::from_seed(&seed);
    let body = Order { requester: key.node_id(), ..(*order(2, 1, n, COST)).clone() };
    Verified::sign(body, &key).unwrap()
}

/// Whole exchanges, both sides of them in one ledger each, from many tasks.
async fn trade(worker: Ledger, gateway: Ledger, n: u128) {
    let order = order(2, 1, n, COST);
    gateway.place(&order, NOW).await.unwrap();
    let reservation = worker.admit(&order, friend(u64::MAX >> 11), NOW).await.unwrap();
    let receipt = answer(&order, 1, COST / 2);
    worker.claim(reservation, receipt.clone(), NOW).await.unwrap();
    gateway.post_received(receipt.clone(), ack(2, &receipt, Verdict::Ok), NOW).await.unwrap();
    worker.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
}

#[test]
fn both_sides_of_many_exchanges_agree() {
    let (ours, theirs) = (Home::new(), Home::new());
    let worker = [ours.open(), ours.open()];
    let gateway = Ledger::open(&theirs.path(), id(2)).unwrap();
    runtime().block_on(async {
        let mut trading = JoinSet::new();
        for n in 0..300 {
            trading.spawn(trade(worker[n % 2].clone(), gateway.clone(), n as u128));
        }
        trading.join_all().await;
        let due = gateway.due(NOW, 10).await.unwrap().remove(0);
        assert_eq!(due.ids.len(), 300);
        gateway.delivered(due.worker, due.ids, NOW).await.unwrap();
        assert_eq!(gateway.due(NOW, 10).await.unwrap(), []);
    });
    let earned = 300 * (COST / 2);
    assert_eq!(ours.standing(2), Standing { settled_orders: 300, earned, ..Standing::default() });
    let owed = gateway.reader().unwrap().standing(Party::Node(id(1))).unwrap();
    assert_eq!(owed, Standing { spent: earned, ..Standing::default() });
    // The flushes of the three that need one are shared.
    let flushes: u64 = worker.iter().map(|ledger| ledger.written().flushes).sum();
    assert!(flushes < 600, "{flushes}");
    ours.assert_sound();
    theirs.assert_sound();
}
