//! What the owner decides, and what was paid or forgiven outside of the network.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id, key, node, receipt,
    trade::{ack, answer, credits, dispute, friend, newcomer, ok, order, uuid},
};
use ledger::{
    AdmitError, ByCreditor, ByDebtor, Ledger, Party, Refusal, SettleError, Settled, Settlement,
    SettlementHalf, Standing, State, Unordered,
};
use protocol::{Receipt, Verified, ack::Verdict};

/// Node 2 owes node 1 a claim of `charged` for its `n`th order.
async fn claimed(ledger: &Ledger, n: u128, charged: u64) -> Verified<Receipt> {
    let order = order(2, 1, n, charged);
    let reservation = ledger.admit(&order, friend(100_000), NOW).await.unwrap();
    let receipt = answer(&order, 1, charged);
    ledger.claim(reservation, receipt.clone(), NOW).await.unwrap();
    receipt
}

async fn settled(ledger: &Ledger, n: u128, charged: u64) {
    let receipt = claimed(ledger, n, charged).await;
    ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
}

fn by_debtor(signer: u8, settlement: &Settlement) -> SettlementHalf {
    SettlementHalf::Debtor(Verified::sign(ByDebtor(settlement.clone()), &key(signer)).unwrap())
}

fn by_creditor(signer: u8, settlement: &Settlement) -> SettlementHalf {
    SettlementHalf::Creditor(Verified::sign(ByCreditor(settlement.clone()), &key(signer)).unwrap())
}

/// `from` paid `to`.
fn paid(from: u8, to: u8, amount: u64, n: u128) -> Settlement {
    Settlement::paid(id(from), id(to), credits(amount), uuid(n), NOW)
}

/// `to` forgives `from` a sum, or what an order was charged.
fn forgiven(from: u8, to: u8, amount: u64, order: Option<u128>, n: u128) -> Settlement {
    Settlement::forgiven(id(from), id(to), credits(amount), order.map(uuid), uuid(n), NOW)
}

#[tokio::test]
async fn a_payment_moves_the_balance_once_both_have_signed() {
    let home = Home::new();
    let ledger = home.open();
    settled(&ledger, 1, 500).await;
    let payment = paid(2, 1, 200, 7);
    let settle = |half| ledger.settle(half, NOW);
    assert_eq!(settle(by_creditor(1, &payment)).await.unwrap(), Settled::Waiting);
    assert_eq!(settle(by_creditor(1, &payment)).await.unwrap(), Settled::Already);
    assert_eq!(home.standing(2).owed_to_me(), 500);
    let other = paid(2, 1, 300, 7);
    assert!(matches!(settle(by_debtor(2, &other)).await, Err(SettleError::IdUsed)));
    assert!(matches!(settle(by_debtor(2, &paid(2, 3, 1, 8))).await, Err(SettleError::NotOurs)));

    assert_eq!(settle(by_debtor(2, &payment)).await.unwrap(), Settled::Moved);
    for half in [by_debtor(2, &payment), by_creditor(1, &payment)] {
        assert_eq!(settle(half).await.unwrap(), Settled::Already);
    }
    assert_eq!(home.standing(2).owed_to_me(), 300);
    // What is paid in advance is owed the other way, theirs first or ours first.
    let advance = paid(2, 1, 400, 9);
    assert_eq!(settle(by_debtor(2, &advance)).await.unwrap(), Settled::Waiting);
    assert_eq!(settle(by_creditor(1, &advance)).await.unwrap(), Settled::Moved);
    let standing = home.standing(2);
    assert_eq!((standing.owed_to_me(), standing.owed_by_me()), (0, 100));
    home.assert_sound();
}

#[tokio::test]
async fn what_we_pay_and_what_is_forgiven_to_us_is_owed_no_more() {
    let home = Home::new();
    let ledger = home.open();
    for (n, verdict) in [(1, Verdict::Ok), (2, Verdict::Ok), (3, Verdict::Dispute(None))] {
        let placed = order(1, 2, n, 100);
        let receipt = answer(&placed, 2, 100);
        ledger.place(&placed, NOW).await.unwrap();
        ledger.post_received(receipt.clone(), ack(1, &receipt, verdict), NOW).await.unwrap();
    }
    let payment = paid(1, 2, 30, 10);
    ledger.settle(by_debtor(1, &payment), NOW).await.unwrap();
    ledger.settle(by_creditor(2, &payment), NOW).await.unwrap();
    assert_eq!(home.standing(2).owed_by_me(), 170);
    for (order, n) in [(1, 11), (3, 12)] {
        let half = by_creditor(2, &forgiven(1, 2, 100, Some(order), n));
        assert_eq!(ledger.settle(half, NOW).await.unwrap(), Settled::Moved);
    }
    let standing = home.standing(2);
    assert_eq!((standing.owed_by_me(), standing.refused), (70, 0));
    let theirs = ledger.settle(by_debtor(1, &forgiven(1, 2, 70, None, 13)), NOW).await;
    assert!(matches!(theirs, Err(SettleError::NotTheCreditor)));
    home.assert_sound();
}

#[tokio::test]
async fn a_claim_is_forgiven_wherever_it_stands_and_once() {
    let home = Home::new();
    let ledger = home.open();
    settled(&ledger, 1, 10).await;
    let waiting = claimed(&ledger, 2, 20).await;
    let disputed = claimed(&ledger, 3, 30).await;
    ledger.take_acks(vec![dispute(2, &disputed)], NOW).await.remove(0).unwrap();
    let forgive = |order, amount, n| {
        let half = by_creditor(1, &forgiven(2, 1, amount, Some(order), n));
        let ledger = ledger.clone();
        async move { ledger.settle(half, NOW).await }
    };
    assert!(matches!(forgive(4, 1, 20).await, Err(SettleError::NoReceipt)));
    assert!(matches!(forgive(2, 19, 20).await, Err(SettleError::AnotherSum { .. })));
    for (order, amount) in [(1, 10), (2, 20), (3, 30)] {
        assert_eq!(forgive(order, amount, 30 + order).await.unwrap(), Settled::Moved);
        assert_eq!(forgive(order, amount, 30 + order).await.unwrap(), Settled::Already);
        assert!(matches!(forgive(order, amount, 40 + order).await, Err(SettleError::ForgivenBefore)));
    }
    let standing = home.standing(2);
    assert_eq!((standing.claims, standing.claimed, standing.disputed, standing.owed_to_me()), (0, 0, 0, 0));
    // Its requester's word comes too late to make it a debt again.
    ledger.take_acks(vec![ok(2, &waiting)], NOW).await.remove(0).unwrap();
    assert_eq!(home.standing(2), standing);
    assert!(ledger.last(3).await.unwrap().iter().all(|entry| entry.state == State::Settled));
    home.assert_sound();
}

#[tokio::test]
async fn what_nobody_could_read_back_is_not_kept() {
    let home = Home::new();
    let ledger = home.open();
    claimed(&ledger, 0xABC, 20).await;
    let forgive = |order: String, n| Settlement::forgiven(id(2), id(1), credits(20), Some(order), n, NOW);
    let wrong = [
        forgive(uuid(0xABC).replace('-', ""), uuid(10)),
        forgive(uuid(0xABC).to_uppercase(), uuid(10)),
        forgive(uuid(0xABC), "none".to_owned()),
    ];
    for settlement in wrong {
        let refused = ledger.settle(by_creditor(1, &settlement), NOW).await;
        assert!(matches!(refused, Err(SettleError::Rejected(_))), "{refused:?}");
    }
    assert_eq!(home.standing(2).claimed, 20);
    let right = by_creditor(1, &forgive(uuid(0xABC), uuid(10)));
    assert_eq!(ledger.settle(right, NOW).await.unwrap(), Settled::Moved);
    home.assert_sound();
}

#[tokio::test]
async fn no_more_is_forgiven_in_a_sum_than_is_settled() {
    let home = Home::new();
    let ledger = home.open();
    settled(&ledger, 1, 100).await;
    claimed(&ledger, 2, 50).await;
    let forgive = |amount, n| ledger.settle(by_creditor(1, &forgiven(2, 1, amount, None, n)), NOW);
    let error = forgive(101, 10).await.unwrap_err();
    assert!(error.to_string().contains("100 credits are owed"), "{error}");
    assert_eq!(forgive(60, 11).await.unwrap(), Settled::Moved);
    assert_eq!((home.standing(2).owed_to_me(), home.standing(2).claimed), (40, 50));
    home.assert_sound();
}

#[tokio::test]
async fn what_was_claimed_without_an_order_is_forgiven_in_a_sum() {
    let home = Home::new();
    let ledger = home.open();
    settled(&ledger, 1, 100).await;
    claimed(&ledger, 2, 50).await;
    let limit = credits(1000);
    let vouched = Unordered::Vouched { node: id(2), limit };
    let believed = Unordered::Believed { node: id(3), allowance: limit, pool_per_day: limit };
    for (n, who, requester) in [(901, vouched, 2), (902, vouched, 2), (903, believed, 3)] {
        let held = ledger.admit_unordered(who, credits(30), NOW).await.unwrap();
        ledger.claim(held, receipt(1, node(requester), n, 20), NOW).await.unwrap();
    }
    let forgive = |from, amount, n| ledger.settle(by_creditor(1, &forgiven(from, 1, amount, None, n)), NOW);
    let stands = || (home.standing(2).owed_to_me(), home.standing(2).claimed, home.standing(2).claims);
    assert_eq!(stands(), (100, 110, 1));
    // Never the claim of the order.
    let error = forgive(2, 161, 10).await.unwrap_err();
    assert!(matches!(error, SettleError::MoreThanOwed { owed } if owed.get() == 160), "{error}");
    forgive(2, 60, 11).await.unwrap();
    assert_eq!(stands(), (40, 110, 1), "what is settled first");
    forgive(2, 70, 12).await.unwrap();
    assert_eq!(forgive(2, 70, 12).await.unwrap(), Settled::Already);
    assert_eq!(stands(), (0, 80, 1));
    forgive(2, 30, 13).await.unwrap();
    assert_eq!(stands(), (0, 50, 1));
    assert!(forgive(2, 1, 14).await.is_err());
    forgive(3, 30, 15).await.unwrap();
    let named = ledger.reader().unwrap().standing(Party::Believed(id(3))).unwrap();
    assert_eq!((named.claimed, named.paid_to_me), (0, 0));
    home.assert_sound();
    // The audit notices whoever takes another sum.
    ledger.close();
    home.raw().execute("UPDATE standing SET claimed = 49 WHERE claimed = 50", []).unwrap();
    assert_eq!(home.audit().findings.len(), 1);
}

#[tokio::test]
async fn a_running_node_goes_by_what_another_process_decided() {
    let home = Home::new();
    let (running, command) = (home.open(), home.open());
    let stranger = newcomer(100, 1000);
    let admit = |n| {
        let running = running.clone();
        async move { running.admit(&order(2, 1, n, 500), stranger, NOW).await }
    };
    assert!(matches!(admit(1).await, Err(AdmitError::Refused(Refusal::Insufficient { .. }))));
    command.lend(id(2), Some(credits(500)), NOW).await.unwrap();
    assert_eq!(home.standing(2).lent, Some(500));
    drop(admit(2).await.unwrap());
    command.lend(id(2), None, NOW).await.unwrap();
    assert!(matches!(admit(3).await, Err(AdmitError::Refused(Refusal::Insufficient { .. }))));
    command.lend(id(2), Some(credits(500)), NOW).await.unwrap();
    command.block(id(2), NOW).await.unwrap();
    command.block(id(2), NOW).await.unwrap();
    assert!(matches!(admit(4).await, Err(AdmitError::Refused(Refusal::Blocked))));
    command.unblock(id(2), NOW).await.unwrap();
    drop(admit(5).await.unwrap());
    running.close();
    assert_eq!(home.standing(2), Standing { lent: Some(500), ..Standing::default() });
    home.assert_sound();
}
