//! Those whom nobody knows: a line for once, one pool for all, few claims, and no proof without an order.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id, node,
    trade::{answer, credits, friend, later, newcomer, ok, order},
};
use ledger::{AdmitError, Ledger, Line, Party, Pool, Refusal, Reservation, Standing, State, Unordered};
use protocol::{Order, Requester, Verified};

async fn admitted(ledger: &Ledger, order: &Verified<Order>, line: Line) -> Reservation {
    ledger.admit(order, line, NOW).await.unwrap()
}

async fn refused(ledger: &Ledger, order: &Verified<Order>, line: Line) -> Refusal {
    match ledger.admit(order, line, NOW).await {
        Err(AdmitError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Admits, claims and has it acknowledged.
async fn settled(ledger: &Ledger, order: &Verified<Order>, charged: u64) {
    let reservation = admitted(ledger, order, friend(1_000_000)).await;
    let receipt = answer(order, 1, charged);
    ledger.claim(reservation, receipt.clone(), NOW).await.unwrap();
    let requester = (1..=u8::MAX).find(|n| id(*n) == order.requester).unwrap();
    assert!(ledger.take_acks(vec![ok(requester, &receipt)], NOW).await[0].is_ok());
}

#[tokio::test]
async fn a_stranger_owes_an_acknowledgement_before_its_next_order() {
    let home = Home::new();
    let ledger = home.open();
    let stranger = newcomer(1000, 10_000);
    let first = order(2, 1, 1, 10);
    let reservation = admitted(&ledger, &first, stranger).await;
    let one = Refusal::AckRequired { unacknowledged: 1, allowed: 1 };
    assert_eq!(refused(&ledger, &order(2, 1, 2, 10), stranger).await, one, "running orders count");
    let receipt = answer(&first, 1, 10);
    ledger.claim(reservation, receipt.clone(), NOW).await.unwrap();
    assert_eq!(refused(&ledger, &order(2, 1, 3, 10), stranger).await, one);
    ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
    for n in 10..13 {
        settled(&ledger, &order(2, 1, n, 10), 10).await;
    }
    let two = [admitted(&ledger, &order(2, 1, 20, 10), stranger).await, {
        admitted(&ledger, &order(2, 1, 21, 10), stranger).await
    }];
    let full = Refusal::AckRequired { unacknowledged: 2, allowed: 2 };
    assert_eq!(refused(&ledger, &order(2, 1, 22, 10), stranger).await, full);
    drop(two);
    ledger.close();
    home.assert_sound();
}

#[tokio::test]
async fn a_thousand_new_keys_take_one_pool_and_no_more() {
    let home = Home::new();
    let ledger = home.open();
    let line = newcomer(10_000, 100_000);
    let mut taken = 0;
    for n in 0..1000u128 {
        let seed: [u8; 32] = std::array::from_fn(|at| (n >> (8 * (at % 2))) as u8 ^ 0x5A);
        let key = protocol::Keypair::from_seed(&seed);
        let mut body = (*order(2, 1, n, 3_000)).clone();
        body.requester = key.node_id();
        let order = Verified::sign(body, &key).unwrap();
        match ledger.admit(&order, line, NOW).await {
            Ok(reservation) => {
                // What is charged stays drawn, what is not comes back.
                let receipt = answer(&order, 1, 2_500);
                ledger.claim(reservation, receipt.clone(), NOW).await.unwrap();
                let claim = protocol::Ack {
                    order_sha256: order.signed().sha256(),
                    receipt_sha256: receipt.signed().sha256(),
                    verdict: protocol::ack::Verdict::Ok,
                    at: NOW,
                };
                let ack = claim.sign(&key).unwrap().signed().clone();
                ledger.take_acks(vec![ack], NOW).await.remove(0).unwrap();
                taken += 2_500;
            }
            Err(AdmitError::Refused(Refusal::Insufficient { available })) => {
                assert_eq!(available, credits(100_000 - taken), "key {n}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((97_001..=100_000).contains(&taken), "{taken}");
    // The next day has a pool of its own, and a key its allowance only once.
    let tomorrow = later(24 * 60 * 60 * 1000);
    let reader = ledger.reader().unwrap();
    assert_eq!(reader.drawn(Pool::Newcomers, NOW).unwrap().credits, taken);
    assert_eq!(reader.drawn(Pool::Newcomers, tomorrow).unwrap().credits, 0);
    home.assert_sound();
}

#[tokio::test]
async fn requests_without_an_order_have_a_pool_of_their_own_or_the_newcomers() {
    let home = Home::new();
    let ledger = home.open();
    let anonymous = Unordered::Anonymous { per_day: credits(100) };
    let admit = |who, amount| ledger.admit_unordered(who, credits(amount), NOW);
    let insufficient = |outcome: Result<Reservation, AdmitError>| match outcome {
        Err(AdmitError::Refused(Refusal::Insufficient { available })) => available.get(),
        other => panic!("{other:?}"),
    };
    let first = admit(anonymous, 60).await.unwrap();
    assert_eq!(insufficient(admit(anonymous, 41).await), 40);
    let receipt = common::receipt(1, Requester::Anonymous, 1, 20);
    ledger.claim(first, receipt, NOW).await.unwrap();
    assert_eq!(insufficient(admit(anonymous, 71).await), 70);

    let believed = Unordered::Believed { node: id(2), allowance: credits(50), pool_per_day: credits(80) };
    let reservation = admit(believed, 50).await.unwrap();
    // More tokens than were foreseen are not charged to who could not agree to them.
    ledger.claim(reservation, common::receipt(1, node(2), 2, 990), NOW).await.unwrap();
    assert_eq!(insufficient(admit(believed, 1).await), 0);
    assert_eq!(home.standing(2), Standing::default(), "a header is no proof");
    let named = ledger.reader().unwrap().standing(Party::Believed(id(2))).unwrap();
    assert_eq!((named.claimed, named.claims), (50, 0));
    // The same pool as those who order.
    let stranger = newcomer(1000, 80);
    let refusal = refused(&ledger, &order(3, 1, 1, 31), stranger).await;
    assert_eq!(refusal, Refusal::Insufficient { available: credits(30) });

    let vouched = Unordered::Vouched { node: id(4), limit: credits(500) };
    let reservation = admit(vouched, 500).await.unwrap();
    ledger.claim(reservation, common::receipt(1, node(4), 3, 290), NOW).await.unwrap();
    assert_eq!(insufficient(admit(vouched, 201).await), 200);
    assert_eq!(home.standing(4).claimed, 300);
    let priced = |price: u64, n: u128, tokens: u64, amount: u64| {
        let ledger = &ledger;
        async move {
            let held = ledger.admit_unordered(vouched, credits(amount), NOW).await.unwrap();
            let receipt = common::receipt(1, node(4), n, tokens - 10);
            ledger.claim_priced(held, receipt, credits(price * tokens), NOW).await.unwrap();
        }
    };
    // Twice the tokens at a price of two, nothing where the owner asks for nothing, never more than was held.
    priced(2, 4, 20, 50).await;
    priced(0, 5, 20, 50).await;
    priced(9, 6, 20, 50).await;
    assert_eq!(home.standing(4).claimed, 300 + 40 + 50);
    let earned = ledger.account(node(1)).await.unwrap().earned;
    assert_eq!(earned, 30 + 50 + 300 + 40 + 50, "an account counts what was charged");
    let states: Vec<_> = ledger.last(9).await.unwrap().into_iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::V1; 6]);

    ledger.block(id(2), NOW).await.unwrap();
    let blocked = ledger.admit_unordered(believed, credits(0), later(86_400_000)).await;
    assert!(matches!(blocked, Err(AdmitError::Refused(Refusal::Blocked))));
    home.assert_sound();
}

#[tokio::test]
async fn who_pays_with_its_own_credit_takes_no_place_among_the_newcomers() {
    let home = Home::new();
    let ledger = home.open();
    let stranger = newcomer(10, 10);
    ledger.post(common::receipt(2, node(1), 1, 990), ledger::Origin::Received, NOW).await.unwrap();
    let drawn = || ledger.reader().unwrap().drawn(Pool::Newcomers, NOW).unwrap();
    settled(&ledger, &order(2, 1, 100, 1), 1).await;
    for n in 1..=20 {
        let own = order(2, 1, n, 40);
        let held = admitted(&ledger, &own, stranger).await;
        let receipt = answer(&own, 1, 40);
        ledger.claim(held, receipt.clone(), NOW).await.unwrap();
        ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
    }
    assert_eq!((drawn().credits, drawn().requests), (0, 0));
    drop(admitted(&ledger, &order(3, 1, 30, 10), stranger).await);
    // What costs nothing is counted all the same, and what is borrowed is.
    let free = order(2, 1, 31, 0);
    let held = admitted(&ledger, &free, stranger).await;
    ledger.release(held, NOW).await.unwrap();
    assert_eq!((drawn().credits, drawn().requests), (0, 2));
    ledger.close();
    home.assert_sound();
}
