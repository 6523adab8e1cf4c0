//! A worker's books: no order twice, nothing beyond what is available, a claim until it is settled.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id, node,
    trade::{answer, answer_as, credits, dispute, friend, ok, order},
};
use ledger::{
    AckError, AdmitError, ClaimError, Collected, Ledger, Line, Origin, PostError, Posted, Refusal,
    Reservation, Standing, State,
};
use protocol::{Order, Verified};

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
async fn an_exchange_is_reserved_then_claimed_then_settled() {
    let home = Home::new();
    let ledger = home.open();
    let order = order(2, 1, 1, 1000);
    let reservation = admitted(&ledger, &order, friend(1500)).await;
    assert_eq!(reservation.credits(), credits(1000));
    let running = Standing { open_orders: 1, reserved: 1000, ..Standing::default() };
    assert_eq!(home.standing(2), running);
    let collect = || ledger.receipt_for(id(2), order.order_id.clone());
    assert_eq!(collect().await.unwrap(), Collected::Running);
    assert_eq!(ledger.receipt_for(id(3), order.order_id.clone()).await.unwrap(), Collected::Nothing);

    let receipt = answer(&order, 1, 700);
    assert_eq!(ledger.claim(reservation, receipt.clone(), NOW).await.unwrap(), Posted::New { seq: 1 });
    let claimed = Standing { claims: 1, claimed: 700, ..Standing::default() };
    assert_eq!(home.standing(2), claimed);
    assert_eq!(collect().await.unwrap(), Collected::Ready(receipt.to_json()));
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Claimed);

    assert!(ledger.take_acks(vec![ok(2, &receipt)], NOW).await[0].is_ok());
    let settled = Standing { settled_orders: 1, earned: 700, ..Standing::default() };
    assert_eq!(home.standing(2), settled);
    assert_eq!((settled.owed_to_me(), settled.available(credits(1500))), (700, credits(800)));
    // For good, so that whoever lost it can have it again.
    assert_eq!(collect().await.unwrap(), Collected::Ready(receipt.to_json()));
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Settled);
    home.assert_sound();
}

#[tokio::test]
async fn an_order_is_taken_once_for_good() {
    let home = Home::new();
    let taken = order(2, 1, 1, 10);
    let ledger = home.open();
    let reservation = admitted(&ledger, &taken, friend(1000)).await;
    let again = |ledger: Ledger, order: Verified<Order>| async move {
        matches!(ledger.admit(&order, friend(1000), NOW).await, Err(AdmitError::AlreadyTaken))
    };
    assert!(again(ledger.clone(), taken.clone()).await);
    // Its id with other words in it is the same order to us.
    assert!(again(ledger.clone(), order(2, 1, 1, 11)).await);
    ledger.release(reservation, NOW).await.unwrap();
    assert!(again(ledger.clone(), taken.clone()).await);
    ledger.close();

    let ledger = home.open();
    assert!(again(ledger.clone(), taken).await, "after a restart");
    drop(admitted(&ledger, &order(3, 1, 1, 10), friend(1000)).await);
    let elsewhere = ledger.admit(&order(2, 4, 9, 10), friend(1000), NOW).await;
    assert!(matches!(elsewhere, Err(AdmitError::AnotherWorker)));
    ledger.close();
    home.assert_sound();
}

#[tokio::test]
async fn what_is_owed_claimed_and_reserved_is_no_longer_available() {
    let home = Home::new();
    let ledger = home.open();
    settled(&ledger, &order(2, 1, 1, 100), 100).await;
    let claim = admitted(&ledger, &order(2, 1, 2, 60), friend(300)).await;
    ledger.claim(claim, answer(&order(2, 1, 2, 60), 1, 50), NOW).await.unwrap();
    let held = admitted(&ledger, &order(2, 1, 3, 30), friend(300)).await;
    let insufficient = Refusal::Insufficient { available: credits(120) };
    assert_eq!(refused(&ledger, &order(2, 1, 4, 121), friend(300)).await, insufficient);
    let all = admitted(&ledger, &order(2, 1, 5, 120), friend(300)).await;
    ledger.release(all, NOW).await.unwrap();
    // What we owe it, it may spend besides.
    ledger.post(common::receipt(2, node(1), 77, 990), Origin::Received, NOW).await.unwrap();
    assert_eq!(home.standing(2).owed_by_me(), 1000);
    drop(admitted(&ledger, &order(2, 1, 6, 1120), friend(300)).await);
    drop(held);
    ledger.close();
    home.assert_sound();
}

#[tokio::test]
async fn a_reservation_that_is_dropped_is_given_back() {
    let home = Home::new();
    let ledger = home.open();
    drop(admitted(&ledger, &order(2, 1, 1, 100), friend(100)).await);
    // The release stands before this in the queue.
    let next = admitted(&ledger, &order(2, 1, 2, 100), friend(100)).await;
    {
        // Nobody is there any more to take the answer.
        let third = order(2, 1, 3, 100);
        let mut leaving = Box::pin(ledger.admit(&third, friend(200), NOW));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // It may be there already; then it is dropped with its answer.
        let _ = leaving.as_mut().poll(&mut context);
    }
    drop(next);
    home.wait_until_idle(2);
    drop(admitted(&ledger, &order(2, 1, 4, 200), friend(200)).await);
    ledger.close();
    assert_eq!(home.standing(2), Standing::default());
    home.assert_sound();
}

#[tokio::test]
async fn a_receipt_that_is_not_what_was_admitted_is_our_mistake_and_nobody_pays() {
    let home = Home::new();
    let ledger = home.open();
    let taken = order(2, 1, 1, 100);
    let wrong = [
        answer(&taken, 1, 101),
        answer(&order(2, 1, 9, 100), 1, 100),
        answer(&taken, 3, 100),
        common::receipt(1, node(2), 1, 10),
    ];
    for (n, receipt) in (10..).zip(wrong) {
        let taken = if n == 10 { order(2, 1, n, 100) } else { order(2, 1, n, 200) };
        let reservation = admitted(&ledger, &taken, friend(200)).await;
        let receipt = if n == 10 { answer(&taken, 1, 101) } else { receipt };
        let error = ledger.claim(reservation, receipt, NOW).await.unwrap_err();
        assert!(matches!(error, ClaimError::OverReserved { .. } | ClaimError::Mismatch { .. }), "{error:?}");
    }
    let unadmitted = ledger.post(answer(&taken, 1, 100), Origin::Served, NOW).await;
    assert!(matches!(unadmitted, Err(PostError::AnswersAnOrder)));
    ledger.close();
    assert_eq!(home.standing(2), Standing::default());
    assert_eq!(home.open().count().await.unwrap(), 0);
    home.assert_sound();
}

#[tokio::test]
async fn an_ok_settles_for_good_and_a_dispute_holds_the_line() {
    let home = Home::new();
    let ledger = home.open();
    let taken = order(2, 1, 1, 100);
    let reservation = admitted(&ledger, &taken, friend(100)).await;
    let receipt = answer(&taken, 1, 80);
    let early = ledger.take_acks(vec![ok(2, &receipt)], NOW).await;
    assert!(matches!(early[0], Err(AckError::NoReceipt)));
    ledger.claim(reservation, receipt.clone(), NOW).await.unwrap();

    let strange = answer(&order(2, 1, 5, 100), 1, 80);
    let other = answer_as(&taken, 1, 70, "0".repeat(32));
    let acks =
        vec![dispute(2, &receipt), ok(3, &receipt), ok(2, &strange), ok(2, &other), dispute(2, &receipt)];
    let taken_in = ledger.take_acks(acks, NOW).await;
    assert!(taken_in[0].is_ok() && taken_in[4].is_ok());
    assert!(matches!(taken_in[1], Err(AckError::Rejected(_))), "signed by who did not order");
    assert!(matches!(taken_in[2], Err(AckError::UnknownOrder)));
    assert!(matches!(taken_in[3], Err(AckError::AnotherReceipt)));
    let disputed = Standing { disputed: 80, ..Standing::default() };
    assert_eq!((home.standing(2), disputed.available(credits(100))), (disputed, credits(20)));
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Disputed);

    let taken_in = ledger.take_acks(vec![ok(2, &receipt), ok(2, &receipt), dispute(2, &receipt)], NOW).await;
    assert!(taken_in[0].is_ok() && taken_in[1].is_ok());
    assert!(matches!(taken_in[2], Err(AckError::DisputeAfterOk)));
    assert_eq!(home.standing(2), Standing { settled_orders: 1, earned: 80, ..Standing::default() });
    home.assert_sound();
}

#[tokio::test]
async fn a_released_order_is_resumed_under_the_same_rules() {
    let home = Home::new();
    let ledger = home.open();
    let taken = order(2, 1, 1, 100);
    let resume = |line| ledger.resume(id(2), &taken.order_id, line, NOW);
    assert!(matches!(resume(friend(100)).await, Err(AdmitError::NeverTaken)));
    let reservation = admitted(&ledger, &taken, friend(100)).await;
    assert!(matches!(resume(friend(100)).await, Err(AdmitError::NotReleased)));
    ledger.release(reservation, NOW).await.unwrap();
    assert!(matches!(resume(friend(99)).await, Err(AdmitError::Refused(_))));
    let reservation = resume(friend(100)).await.unwrap();
    assert_eq!(reservation.credits(), credits(100));
    ledger.claim(reservation, answer(&taken, 1, 90), NOW).await.unwrap();
    assert!(matches!(resume(friend(1000)).await, Err(AdmitError::NotReleased)));
    assert_eq!(home.standing(2), Standing { claims: 1, claimed: 90, ..Standing::default() });
    home.assert_sound();
}

#[tokio::test]
async fn a_reservation_that_has_ended_takes_no_receipt() {
    let home = Home::new();
    let ledger = home.open();
    let taken = order(2, 1, 1, 100);
    let reservation = admitted(&ledger, &taken, friend(100)).await;
    // As if another process had found this one dead.
    home.raw().execute("UPDATE exchange SET phase = 1", []).unwrap();
    let error = ledger.claim(reservation, answer(&taken, 1, 90), NOW).await.unwrap_err();
    assert!(matches!(error, ClaimError::Ended), "{error:?}");
    assert_eq!(ledger.count().await.unwrap(), 0);
}
