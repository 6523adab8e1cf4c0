//! A ledger in which everything has happened.

use super::{
    Home, NOW, id, key, node, receipt,
    trade::{ack, answer, credits, dispute, friend, newcomer, ok, order, uuid},
};
use ledger::{ByCreditor, ByDebtor, Origin, Settlement, SettlementHalf, Unordered};
use protocol::{Requester, Verified, ack::Verdict};

/// Rows of the journal that [`busy_home`] leaves, by what they are.
pub(crate) const TAKEN: i64 = 2;
pub(crate) const CLAIMED: i64 = 3;
pub(crate) const ACKNOWLEDGED: i64 = 4;

/// A closed ledger in which every kind of row stands.
pub(crate) async fn busy_home() -> Home {
    let home = Home::new();
    let ledger = home.open();
    ledger.post(receipt(2, node(1), 900, 40), Origin::Received, NOW).await.unwrap();
    let serve = async |requester: u8, n: u128, line| {
        let order = order(requester, 1, n, 100);
        let held = ledger.admit(&order, line, NOW).await.unwrap();
        let receipt = answer(&order, 1, 60);
        ledger.claim(held, receipt.clone(), NOW).await.unwrap();
        receipt
    };
    let settled = serve(2, 1, friend(1000)).await;
    ledger.take_acks(vec![ok(2, &settled)], NOW).await.remove(0).unwrap();
    let disputed = serve(2, 2, friend(1000)).await;
    ledger.take_acks(vec![dispute(2, &disputed)], NOW).await.remove(0).unwrap();
    let agreed = serve(2, 3, friend(1000)).await;
    ledger.take_acks(vec![dispute(2, &agreed), ok(2, &agreed)], NOW).await.remove(1).unwrap();
    serve(4, 4, newcomer(100, 1000)).await;
    let released = order(2, 1, 5, 100);
    let held = ledger.admit(&released, friend(1000), NOW).await.unwrap();
    ledger.release(held, NOW).await.unwrap();
    drop(ledger.resume(id(2), &uuid(5), friend(1000), NOW).await.unwrap());
    let anonymous = Unordered::Anonymous { per_day: credits(100) };
    let held = ledger.admit_unordered(anonymous, credits(50), NOW).await.unwrap();
    ledger.claim(held, receipt(1, Requester::Anonymous, 901, 20), NOW).await.unwrap();
    for (n, verdict) in [(10, Verdict::Ok), (11, Verdict::Dispute(None)), (12, Verdict::Ok)] {
        let placed = order(1, 2, n, 100);
        let receipt = answer(&placed, 2, 70);
        ledger.place(&placed, NOW).await.unwrap();
        if n == 12 {
            ledger.lost(id(2), &uuid(12), NOW).await.unwrap();
        }
        ledger.post_received(receipt.clone(), ack(1, &receipt, verdict), NOW).await.unwrap();
    }
    let paid = Settlement::paid(id(2), id(1), credits(20), uuid(20), NOW);
    let halves = [
        SettlementHalf::Creditor(Verified::sign(ByCreditor(paid.clone()), &key(1)).unwrap()),
        SettlementHalf::Debtor(Verified::sign(ByDebtor(paid), &key(2)).unwrap()),
    ];
    for half in halves {
        ledger.settle(half, NOW).await.unwrap();
    }
    for (n, order) in [(21, 1), (22, 2)] {
        let forgiven = Settlement::forgiven(id(2), id(1), credits(60), Some(uuid(order)), uuid(n), NOW);
        let half = SettlementHalf::Creditor(Verified::sign(ByCreditor(forgiven), &key(1)).unwrap());
        ledger.settle(half, NOW).await.unwrap();
    }
    ledger.block(id(9), NOW).await.unwrap();
    ledger.lend(id(8), Some(credits(5)), NOW).await.unwrap();
    ledger.close();
    home
}
