//! A gateway's books: an order is remembered before it is sent, its receipt is kept with our word on it,
//! and that word waits until its worker has it.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id,
    trade::{ack, answer, answer_as, later, order, uuid},
};
use ledger::{
    Collected, Ledger, Origin, PlaceError, PostError, Posted, ReceiveError, Standing, State,
    limits::AWAITED_MS_MAX,
};
use protocol::{Credits, Order, Receipt, Verified, ack::Verdict};

/// Node 1 orders of `worker`, which charges `charged`.
async fn received(
    ledger: &Ledger,
    order: &Verified<Order>,
    receipt: &Verified<Receipt>,
    verdict: Verdict,
) -> Result<Posted, ReceiveError> {
    ledger.place(order, NOW).await.unwrap();
    ledger.post_received(receipt.clone(), ack(1, receipt, verdict), NOW).await
}

#[tokio::test]
async fn what_was_ordered_is_a_debt_once_it_is_acknowledged() {
    let home = Home::new();
    let ledger = home.open();
    let placed = order(1, 2, 1, 100);
    ledger.place(&placed, NOW).await.unwrap();
    ledger.place(&placed, NOW).await.unwrap();
    let other = ledger.place(&order(1, 2, 1, 99), NOW).await;
    assert!(matches!(other, Err(PlaceError::IdUsed)));
    assert!(matches!(ledger.place(&order(3, 2, 1, 99), NOW).await, Err(PlaceError::NotOurs)));
    assert_eq!(home.standing(2), Standing { awaited_orders: 1, ordered: 100, ..Standing::default() });

    let receipt = answer(&placed, 2, 70);
    assert_eq!(received(&ledger, &placed, &receipt, Verdict::Ok).await.unwrap(), Posted::New { seq: 1 });
    assert_eq!(home.standing(2), Standing { spent: 70, ..Standing::default() });
    assert_eq!(home.standing(2).owed_by_me(), 70);
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Settled);
    assert_eq!(ledger.account(common::node(1)).await.unwrap().spent, 70);
    let mut exported = Vec::new();
    ledger::jsonl::export(&ledger.reader().unwrap(), &mut exported).unwrap();
    let proves = ledger::jsonl::verify(&exported[..]).unwrap().proves;
    assert_eq!((proves.settled.receipts, proves.settled.credits), (1, 70));
    home.assert_sound();
}

#[tokio::test]
async fn a_receipt_that_is_fetched_twice_is_the_same_and_no_other_takes_its_place() {
    let home = Home::new();
    let ledger = home.open();
    let placed = order(1, 2, 1, 100);
    let receipt = answer(&placed, 2, 70);
    received(&ledger, &placed, &receipt, Verdict::Ok).await.unwrap();
    for verdict in [Verdict::Ok, Verdict::Dispute(None)] {
        let again = received(&ledger, &placed, &receipt, verdict).await.unwrap();
        assert_eq!(again, Posted::Already { seq: 1 });
    }
    let other = answer_as(&placed, 2, 60, "1".repeat(32));
    let error = received(&ledger, &placed, &other, Verdict::Ok).await.unwrap_err();
    assert!(matches!(error, ReceiveError::AnsweredBefore { seq: 1 }), "{error:?}");
    assert_eq!(ledger.due(NOW, 10).await.unwrap()[0].ids.len(), 1);
    assert_eq!(home.standing(2), Standing { spent: 70, ..Standing::default() });
    home.assert_sound();
}

#[tokio::test]
async fn what_an_order_came_to_cost_is_known_once_it_is_answered_or_lost() {
    let home = Home::new();
    let ledger = home.open();
    let orders: Vec<_> = (0..4).map(|n| order(1, 2, n, 100)).collect();
    let cost = async |n: usize| ledger.order_cost(id(2), &orders[n].order_id).await.unwrap();
    assert_eq!(cost(0).await, Some(Credits::ZERO), "it was never placed");
    for (order, verdict) in orders.iter().zip([Verdict::Ok, Verdict::Dispute(None)]) {
        ledger.place(order, NOW).await.unwrap();
        assert_eq!(ledger.order_cost(id(2), &order.order_id).await.unwrap(), None);
        received(&ledger, order, &answer(order, 2, 70), verdict).await.unwrap();
    }
    ledger.place(&orders[2], NOW).await.unwrap();
    ledger.lost(id(2), &orders[2].order_id, NOW).await.unwrap();
    let costs = [cost(0).await, cost(1).await, cost(2).await].map(Option::unwrap);
    assert_eq!(costs, [Credits::saturating(70), Credits::ZERO, Credits::ZERO]);
}

#[tokio::test]
async fn what_is_disputed_is_kept_and_no_debt() {
    let home = Home::new();
    let ledger = home.open();
    let placed = order(1, 2, 1, 100);
    let receipt = answer(&placed, 2, 9_000);
    let dispute = Verdict::Dispute("too much".parse().ok());
    received(&ledger, &placed, &receipt, dispute).await.unwrap();
    assert_eq!(home.standing(2), Standing { refused: 9_000, ..Standing::default() });
    assert_eq!(ledger.account(common::node(1)).await.unwrap().spent, 0);
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Disputed);
    let batch = ledger.due(NOW, 10).await.unwrap().remove(0);
    assert!(batch.body.contains(r#""verdict":"dispute""#), "{}", batch.body);
    home.assert_sound();
}

#[tokio::test]
async fn a_receipt_of_no_order_of_ours_is_not_kept() {
    let home = Home::new();
    let ledger = home.open();
    let placed = order(1, 2, 1, 100);
    ledger.place(&placed, NOW).await.unwrap();
    let unknown = answer(&order(1, 2, 9, 100), 2, 10);
    let of_another = answer(&placed, 3, 10);
    let good = answer(&placed, 2, 10);
    let post = |receipt: Verified<Receipt>, ack| ledger.post_received(receipt, ack, NOW);
    let word = |receipt| ack(1, receipt, Verdict::Ok);
    assert!(matches!(post(unknown.clone(), word(&unknown)).await, Err(ReceiveError::UnknownOrder)));
    assert!(matches!(post(of_another.clone(), word(&of_another)).await, Err(ReceiveError::UnknownOrder)));
    assert!(matches!(post(good.clone(), word(&unknown)).await, Err(ReceiveError::AnotherAck)));
    let as_version_1 = ledger.post_at_most(good, 5, Origin::Received, NOW).await;
    assert!(matches!(as_version_1, Err(PostError::AnswersAnOrder)));
    assert_eq!(ledger.count().await.unwrap(), 0);
    home.assert_sound();
}

#[tokio::test]
async fn acknowledgements_go_out_in_batches_until_they_are_delivered() {
    let home = Home::new();
    let ledger = home.open();
    for n in 0..6 {
        let worker = 2 + (n % 2) as u8;
        let placed = order(1, worker, n, 100);
        received(&ledger, &placed, &answer(&placed, worker, 10), Verdict::Ok).await.unwrap();
    }
    assert_eq!(ledger.due(later(0), 1).await.unwrap().len(), 1);
    let batches = ledger.due(NOW, 10).await.unwrap();
    assert_eq!(
        batches.iter().map(|batch| (batch.worker, batch.ids.len())).collect::<Vec<_>>(),
        [(id(2), 3), (id(3), 3)]
    );
    // The body is what the worker reads.
    let read = protocol::ack::read_batch(batches[0].body.as_bytes()).unwrap();
    assert!(read.len() == 3 && read.iter().all(Result::is_ok));

    ledger.failed(id(2), later(5_000)).await.unwrap();
    ledger.delivered(id(3), batches[1].ids.clone(), NOW).await.unwrap();
    assert_eq!(ledger.due(later(4_999), 10).await.unwrap(), []);
    ledger.close();

    let ledger = home.open();
    let due = ledger.due(later(5_000), 10).await.unwrap();
    assert_eq!((due.len(), due[0].tries, &due[0].ids), (1, 1, &batches[0].ids));
    // Part of it: the rest is due at once, and not counted as tried.
    ledger.delivered(id(2), due[0].ids[..2].to_vec(), later(6_000)).await.unwrap();
    let rest = ledger.due(later(6_000), 10).await.unwrap();
    assert_eq!((rest[0].ids.len(), rest[0].tries), (1, 0));
    ledger.delivered(id(2), rest[0].ids.clone(), later(7_000)).await.unwrap();
    assert_eq!(ledger.due(later(1_000_000), 10).await.unwrap(), []);
    home.assert_sound();
}

#[tokio::test]
async fn an_order_without_an_answer_is_asked_for_until_it_is_lost() {
    let home = Home::new();
    let ledger = home.open();
    for n in 0..3 {
        ledger.place(&order(1, 2, n, 100), later(n as u64 * 1000)).await.unwrap();
    }
    let unanswered = |now, before| ledger.unanswered(later(now), later(before), 10);
    let ids = |found: Vec<ledger::Awaited>| -> Vec<_> {
        found.into_iter().map(|awaited| awaited.order.unverified().order_id.clone()).collect()
    };
    assert_eq!(ids(unanswered(5000, 1000).await.unwrap()), [uuid(0), uuid(1)]);
    let first = unanswered(5000, 0).await.unwrap().remove(0);
    assert_eq!((first.worker, first.placed_at), (id(2), NOW));
    assert_eq!(first.order, *order(1, 2, 0, 100).signed());

    ledger.ask_again(id(2), &uuid(0), later(9000)).await.unwrap();
    ledger.lost(id(2), &uuid(1), later(5000)).await.unwrap();
    assert_eq!(ids(unanswered(8999, 8999).await.unwrap()), [uuid(2)]);
    assert_eq!(ids(unanswered(9000, 9000).await.unwrap()), [uuid(2), uuid(0)]);
    assert_eq!(home.standing(2), Standing { awaited_orders: 2, ordered: 200, ..Standing::default() });

    // A receipt that comes all the same is good.
    let late = answer(&order(1, 2, 1, 100), 2, 40);
    received(&ledger, &order(1, 2, 1, 100), &late, Verdict::Ok).await.unwrap();
    assert_eq!(
        home.standing(2),
        Standing { awaited_orders: 2, ordered: 200, spent: 40, ..Standing::default() }
    );

    let written = ledger.written();
    assert_eq!(ledger.give_up(later(AWAITED_MS_MAX - 1)).await.unwrap(), 0);
    assert_eq!(ledger.written(), written, "nothing is written for nothing");
    assert_eq!(ledger.give_up(later(AWAITED_MS_MAX + 1999)).await.unwrap(), 1);
    assert_eq!(ids(unanswered(AWAITED_MS_MAX, AWAITED_MS_MAX).await.unwrap()), [uuid(2)]);
    home.assert_sound();
}

#[tokio::test]
async fn a_version_1_receipt_is_a_debt_of_what_it_counts_for() {
    let home = Home::new();
    let ledger = home.open();
    let receipt = |n, tokens| common::receipt(2, common::node(1), n, tokens);
    ledger.post_at_most(receipt(1, 90), 60, Origin::Received, NOW).await.unwrap();
    ledger.post_at_most(receipt(1, 90), 60, Origin::Received, NOW).await.unwrap();
    ledger.post(receipt(2, 30), Origin::Imported, NOW).await.unwrap();
    ledger.post(common::receipt(2, common::node(5), 3, 30), Origin::Received, NOW).await.unwrap();
    assert_eq!(home.standing(2), Standing { spent: 60, ..Standing::default() });
    home.assert_sound();
}

#[tokio::test]
async fn a_node_that_works_for_itself_has_one_receipt_and_both_sides_of_it() {
    let home = Home::new();
    let ledger = home.open();
    let own = order(1, 1, 1, 100);
    let receipt = answer(&own, 1, 50);
    ledger.place(&own, NOW).await.unwrap();
    let reservation = ledger.admit(&own, common::trade::friend(100), NOW).await.unwrap();
    assert_eq!(ledger.claim(reservation, receipt.clone(), NOW).await.unwrap(), Posted::New { seq: 1 });
    assert_eq!(received(&ledger, &own, &receipt, Verdict::Ok).await.unwrap(), Posted::Already { seq: 1 });
    assert!(matches!(ledger.receipt_for(id(1), own.order_id.clone()).await.unwrap(), Collected::Ready(_)));
    let acks = vec![ack(1, &receipt, Verdict::Ok).signed().clone()];
    ledger.take_acks(acks, NOW).await.remove(0).unwrap();
    let both = Standing { settled_orders: 1, earned: 50, spent: 50, ..Standing::default() };
    assert_eq!(home.standing(1), both);
    home.assert_sound();
}
