//! Posting and asking: idempotence, balances, what the reader sees.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, id, node, nth, receipt};
use ledger::{Account, Balances, Origin, PostError, Posted, Totals};
use proptest::prelude::*;
use protocol::{Requester, receipt::Nonce};

#[test]
fn the_same_receipt_again_changes_nothing() {
    let home = Home::new();
    let ledger = home.open();
    let post = || ledger.post_blocking(nth(1), Origin::Served, NOW).unwrap();
    assert_eq!(post(), Posted::New { seq: 1 });
    assert_eq!(post(), Posted::Already { seq: 1 });
    assert_eq!(ledger.reader().unwrap().totals().unwrap(), Totals { earned: 11, spent: 11, receipts: 1 });
}

#[test]
fn a_reused_nonce_is_refused_and_the_rest_of_the_batch_kept() {
    let home = Home::new();
    let ledger = home.open();
    ledger.post_blocking(nth(1), Origin::Received, NOW).unwrap();

    let other = receipt(1, node(3), 1, 500);
    let of_another_worker = receipt(4, node(3), 1, 500);
    let batch = vec![nth(2), other, nth(1), nth(2), of_another_worker];
    let outcomes = ledger.post_many_blocking(batch, Origin::Received, NOW);

    assert_eq!(outcomes[0].as_ref().unwrap(), &Posted::New { seq: 2 });
    assert!(matches!(outcomes[1], Err(PostError::NonceReused { seq: 1, .. })));
    assert_eq!(outcomes[2].as_ref().unwrap(), &Posted::Already { seq: 1 });
    assert_eq!(outcomes[3].as_ref().unwrap(), &Posted::Already { seq: 2 });
    assert_eq!(outcomes[4].as_ref().unwrap(), &Posted::New { seq: 3 });
    assert!(home.audit().is_clean());
}

#[test]
fn a_receipt_that_could_not_be_read_back_never_reaches_the_ledger() {
    // Canonical form writes 1e20 out: what was short enough as it came no longer is.
    let padding = vec!["1e20"; 8000].join(",");
    let mut value: serde_json::Value = serde_json::from_str(&nth(2).to_json()).unwrap();
    value["receipt"]["padding"] = serde_json::from_str(&format!("[{padding}]")).unwrap();
    let refused = protocol::Signed::<protocol::Receipt>::from_value(&value).unwrap_err();
    assert!(refused.to_string().contains("canonical form"), "{refused}");
}

#[test]
fn the_reader_tells_what_was_kept() {
    let home = Home::new();
    let ledger = home.open();
    ledger.post_blocking(receipt(1, node(2), 1, 90), Origin::Served, NOW).unwrap();
    ledger.post_blocking(receipt(3, node(1), 2, 190), Origin::Received, NOW).unwrap();
    ledger.post_blocking(receipt(1, Requester::Anonymous, 3, 0), Origin::Served, NOW).unwrap();

    let reader = ledger.reader().unwrap();
    assert_eq!(reader.count().unwrap(), 3);
    assert_eq!(reader.account(node(1)).unwrap(), Account { earned: 110, spent: 200, receipts: 3 });
    assert_eq!(reader.account(Requester::Anonymous).unwrap(), Account { earned: 0, spent: 10, receipts: 1 });
    assert_eq!(reader.account(node(9)).unwrap(), Account::default());
    let first = reader.accounts(1).unwrap();
    assert_eq!((first.len(), first[0].0), (1, node(1)));
    assert_eq!(reader.accounts(100).unwrap().len(), 4);

    let last = reader.last(2).unwrap();
    assert_eq!(
        last.iter().map(|entry| (entry.seq, entry.origin)).collect::<Vec<_>>(),
        [(3, Origin::Served), (2, Origin::Received)]
    );
    assert_eq!(last[1].signed, receipt(3, node(1), 2, 190).to_json());
    assert_eq!(last[1].posted_at, NOW);
    assert!(reader.seen(id(3), Nonce(2u128.to_be_bytes())).unwrap());
    assert!(!reader.seen(id(1), Nonce(2u128.to_be_bytes())).unwrap());
}

#[test]
fn the_handle_and_its_futures_go_to_any_thread() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn is_sent<T: Send>(_: T) {}
    let home = Home::new();
    let ledger = home.open();
    is_shared(&ledger);
    is_sent(ledger.post(nth(1), Origin::Served, NOW));
    is_sent(ledger.last(1));
}

#[tokio::test]
async fn async_code_posts_and_asks() {
    let home = Home::new();
    let ledger = home.open();
    assert!(ledger.post(nth(1), Origin::Served, NOW).await.unwrap().is_new());
    // Blocking calls inside a runtime are unwise but no panic.
    assert!(!ledger.post_blocking(nth(1), Origin::Served, NOW).unwrap().is_new());

    assert_eq!(ledger.count().await.unwrap(), 1);
    assert_eq!(ledger.totals().await.unwrap().earned, 11);
    assert_eq!(ledger.account(node(2)).await.unwrap().spent, 11);
    assert_eq!(ledger.accounts(10).await.unwrap().len(), 2);
    assert_eq!(ledger.last(10).await.unwrap().len(), 1);
    assert!(ledger.seen(id(1), nth(1).nonce).await.unwrap());
    ledger.close();
    assert_eq!(ledger.count().await.unwrap_err().to_string(), "the ledger is closed");
}

#[test]
fn a_running_ledger_sees_what_another_handle_posted() {
    let home = Home::new();
    let (ours, theirs) = (home.open(), home.open());
    let reader = ours.reader().unwrap();
    assert_eq!(reader.count().unwrap(), 0);
    theirs.post_blocking(nth(1), Origin::Served, NOW).unwrap();
    assert_eq!(reader.count().unwrap(), 1);
    assert_eq!(ours.post_blocking(nth(1), Origin::Served, NOW).unwrap(), Posted::Already { seq: 1 });
}

/// Few keys, so that they meet; amounts up to the wire's largest, so that sums reach their end.
fn exchanges() -> impl Strategy<Value = Vec<(u8, Option<u8>, u64)>> {
    let tokens = prop_oneof![0..1000u64, Just(protocol::limits::INTEGER_MAX)];
    proptest::collection::vec((1..4u8, proptest::option::of(1..4u8), tokens), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn balances_equal_a_full_replay_in_any_arrival_order(
        (exchanges, shuffled) in exchanges().prop_flat_map(|exchanges| {
            let numbered: Vec<_> = (0u128..).zip(exchanges.clone()).collect();
            (Just(exchanges), Just(numbered).prop_shuffle())
        })
    ) {
        let make = |n: u128, (worker, requester, tokens): (u8, Option<u8>, u64)| {
            receipt(worker, requester.map_or(Requester::Anonymous, node), n, tokens)
        };
        let home = Home::new();
        let ledger = home.open();
        let arriving: Vec<_> = shuffled.into_iter().map(|(n, exchange)| make(n, exchange)).collect();
        for part in arriving.chunks(7) {
            ledger.post_many_blocking(part.to_vec(), Origin::Imported, NOW);
        }

        let in_order: Vec<_> = (0u128..).zip(exchanges).map(|(n, exchange)| make(n, exchange)).collect();
        let replayed = Balances::of(in_order.iter().map(|receipt| &**receipt));
        let reader = ledger.reader().unwrap();
        prop_assert_eq!(reader.totals().unwrap(), replayed.totals);
        prop_assert_eq!(reader.accounts(100).unwrap().into_iter().collect::<std::collections::BTreeMap<_, _>>(), replayed.accounts);
        prop_assert!(home.audit().is_clean());
    }
}

#[tokio::test]
async fn a_receipt_that_is_not_believed_is_kept_whole_and_counts_for_less() {
    let home = Home::new();
    let ledger = home.open();
    let posted = ledger.post_at_most(nth(1), 4, Origin::Received, NOW).await;
    assert_eq!(posted.unwrap(), Posted::New { seq: 1 });
    let reader = ledger.reader().unwrap();
    assert_eq!(reader.totals().unwrap(), Totals { earned: 4, spent: 4, receipts: 1 });
    assert_eq!(reader.last(1).unwrap()[0].signed, nth(1).to_json());
    assert!(home.audit().is_clean());
}
