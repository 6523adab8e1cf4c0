//! Pure fold: receipts to balances.
//!
//! The writer folds a batch with it and adds the result to the rows; an audit folds everything and
//! compares. Sums stop at [`CREDITS_MAX`] instead of wrapping. Because amounts are never negative,
//! stopping there gives the same result in any order of arrival.

use protocol::{NodeId, Receipt, Requester};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a sum stops: SQLite's largest integer.
pub(crate) const CREDITS_MAX: u64 = i64::MAX as u64;

/// What all entries of the ledger say of one key. 1 token is 1 credit.
///
/// Foreign receipts (imported ones between others) count too, so this is a record and no basis for
/// lending: two strangers can sign each other any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Credits for the work it did.
    pub earned: u64,
    /// Credits for the work it asked for.
    pub spent: u64,
    /// Receipts that name it; one that names it on both sides counts once.
    pub receipts: u64,
}

/// What all entries of the ledger say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Credits earned by all workers.
    pub earned: u64,
    /// Credits spent by all requesters, `anonymous` included.
    pub spent: u64,
    /// Number of receipts.
    pub receipts: u64,
}

/// Accounts and totals of any set of receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// One account per key; `anonymous` has one too.
    pub accounts: BTreeMap<Requester, Account>,
    /// The sums over all of them.
    pub totals: Totals,
}

impl Balances {
    /// The balances that `receipts` make.
    pub fn of<'r>(receipts: impl IntoIterator<Item = &'r Receipt>) -> Self {
        let mut balances = Self::default();
        for receipt in receipts {
            balances.add(receipt.worker, receipt.requester, receipt.usage.total());
        }
        balances
    }

    /// Adds one receipt that counts for so many credits.
    pub fn add(&mut self, worker: NodeId, requester: Requester, credits: u64) {
        let worker = Requester::Node(worker);

        let account = self.accounts.entry(worker).or_default();
        account.earned = sum(account.earned, credits);
        account.receipts += 1;

        let account = self.accounts.entry(requester).or_default();
        account.spent = sum(account.spent, credits);
        account.receipts += u64::from(requester != worker);

        self.totals.earned = sum(self.totals.earned, credits);
        self.totals.spent = sum(self.totals.spent, credits);
        self.totals.receipts += 1;
    }
}

fn sum(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(CREDITS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId::from_bytes([byte; 32])
    }

    #[test]
    fn a_receipt_is_earned_by_the_worker_and_spent_by_the_requester() {
        let mut balances = Balances::default();
        balances.add(node(1), Requester::Node(node(2)), 3 + 4);
        balances.add(node(1), Requester::Anonymous, 1);

        let of = |who| balances.accounts[&who];
        assert_eq!(of(Requester::Node(node(1))), Account { earned: 8, spent: 0, receipts: 2 });
        assert_eq!(of(Requester::Node(node(2))), Account { earned: 0, spent: 7, receipts: 1 });
        assert_eq!(of(Requester::Anonymous), Account { earned: 0, spent: 1, receipts: 1 });
        assert_eq!(balances.totals, Totals { earned: 8, spent: 8, receipts: 2 });
    }

    #[test]
    fn work_for_oneself_is_one_receipt() {
        let mut balances = Balances::default();
        balances.add(node(1), Requester::Node(node(1)), 3 + 4);
        assert_eq!(
            balances.accounts[&Requester::Node(node(1))],
            Account { earned: 7, spent: 7, receipts: 1 }
        );
    }

    #[test]
    fn a_sum_stops_at_the_largest_integer_instead_of_wrapping() {
        let mut balances = Balances::default();
        for _ in 0..3 {
            balances.add(node(1), Requester::Anonymous, u64::MAX / 2 + 1);
        }
        assert_eq!(balances.totals, Totals { earned: CREDITS_MAX, spent: CREDITS_MAX, receipts: 3 });
    }
}
