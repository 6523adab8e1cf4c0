//! Pure fold: journal to standings and pools.
//!
//! The writer applies each row that it appends with [`Standing::apply`] and [`Drawn::apply`], an audit
//! all of them and compares: sums and journal cannot part except by damage. Sums stop at
//! [`CREDITS_MAX`]; rows come in one order, so stopping there is the same on both ways.

use crate::{
    balance::CREDITS_MAX,
    journal::{Kind, Step},
    party::Party,
};
use protocol::Credits;
use serde::Serialize;
use std::collections::BTreeMap;

/// How we stand with one party. Amounts are credits.
///
/// What it owes us is three sums apart: settled (it signed), claimed (only we signed), disputed (it
/// says no). Both of the latter hold its line all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Requests of its that run here, or wait to.
    pub open_orders: u64,
    /// The most that those may cost.
    pub reserved: u64,
    /// Receipts of ours that answer its orders and wait for its acknowledgement.
    pub claims: u64,
    /// What those charge, and what requests without an order cost, which nobody can acknowledge.
    pub claimed: u64,
    /// What it disputes of our receipts.
    pub disputed: u64,
    /// Receipts of ours that it acknowledged.
    pub settled_orders: u64,
    /// What those charge.
    pub earned: u64,
    /// Orders of ours that it has not answered.
    pub awaited_orders: u64,
    /// The most that those may cost us.
    pub ordered: u64,
    /// What we acknowledged of its receipts, and what version 1 receipts count for.
    pub spent: u64,
    /// What we dispute of its receipts.
    pub refused: u64,
    /// Paid to us outside of the network, or forgiven by us.
    pub paid_to_me: u64,
    /// Paid by us, or forgiven to us.
    pub paid_by_me: u64,
    /// Whether the owner refuses it.
    pub blocked: bool,
    /// Its line by the owner's word, whatever the settings say.
    pub lent: Option<u64>,
}

impl Standing {
    /// What it owes us and has signed, less what was paid; what we paid beyond our own debt counts too.
    pub const fn owed_to_me(&self) -> u64 {
        let earned = self.earned.saturating_sub(self.paid_to_me);
        earned.saturating_add(self.paid_by_me.saturating_sub(self.spent))
    }

    /// What we owe it, the same way.
    pub const fn owed_by_me(&self) -> u64 {
        let spent = self.spent.saturating_sub(self.paid_by_me);
        spent.saturating_add(self.paid_to_me.saturating_sub(self.earned))
    }

    /// What it has used of its line: owed to us (settled, claimed, disputed) and reserved, less owed by
    /// us. Negative where we owe it.
    pub(crate) fn debt(&self) -> i128 {
        let owes = [self.owed_to_me(), self.claimed, self.disputed, self.reserved];
        owes.into_iter().map(i128::from).sum::<i128>() - i128::from(self.owed_by_me())
    }

    /// What an order may still cost if its line is `limit` (SPEC section 4).
    pub fn available(&self, limit: Credits) -> Credits {
        let limit = self.lent.unwrap_or(limit.get());
        let left = (i128::from(limit) - self.debt()).max(0);
        Credits::saturating(left.try_into().unwrap_or(u64::MAX))
    }

    /// All of it by name, for who compares two.
    pub(crate) fn named(&self) -> [(&'static str, Option<u64>); 15] {
        [
            ("open_orders", Some(self.open_orders)),
            ("reserved", Some(self.reserved)),
            ("claims", Some(self.claims)),
            ("claimed", Some(self.claimed)),
            ("disputed", Some(self.disputed)),
            ("settled_orders", Some(self.settled_orders)),
            ("earned", Some(self.earned)),
            ("awaited_orders", Some(self.awaited_orders)),
            ("ordered", Some(self.ordered)),
            ("spent", Some(self.spent)),
            ("refused", Some(self.refused)),
            ("paid_to_me", Some(self.paid_to_me)),
            ("paid_by_me", Some(self.paid_by_me)),
            ("blocked", Some(self.blocked.into())),
            ("lent", self.lent),
        ]
    }

    pub(crate) fn apply(&mut self, step: &Step<'_>) {
        let Step { reserved, credits, .. } = *step;
        match step.kind {
            Kind::Taken | Kind::TakenUnordered | Kind::Resumed => {
                add(&mut self.open_orders, 1);
                add(&mut self.reserved, reserved);
            }
            Kind::Released => self.close(reserved),
            Kind::Claimed => {
                self.close(reserved);
                add(&mut self.claims, 1);
                add(&mut self.claimed, credits);
            }
            Kind::ClaimedUnordered => {
                self.close(reserved);
                add(&mut self.claimed, credits);
            }
            Kind::Acknowledged => {
                self.unclaim(credits);
                self.settle(credits);
            }
            Kind::Disputed => {
                self.unclaim(credits);
                add(&mut self.disputed, credits);
            }
            Kind::Agreed => {
                take(&mut self.disputed, credits);
                self.settle(credits);
            }
            Kind::Placed | Kind::Found => {
                add(&mut self.awaited_orders, 1);
                add(&mut self.ordered, reserved);
            }
            Kind::Lost => self.answered(reserved),
            Kind::ReceivedOk => {
                self.answered(reserved);
                add(&mut self.spent, credits);
            }
            Kind::ReceivedDisputed => {
                self.answered(reserved);
                add(&mut self.refused, credits);
            }
            Kind::Owed => add(&mut self.spent, credits),
            Kind::PaidToMe | Kind::ForgaveSettled => add(&mut self.paid_to_me, credits),
            Kind::PaidByMe | Kind::ForgivenSettled => add(&mut self.paid_by_me, credits),
            Kind::ForgaveUnordered => {
                take(&mut self.claimed, reserved);
                add(&mut self.paid_to_me, credits.saturating_sub(reserved));
            }
            Kind::ForgaveClaim => self.unclaim(credits),
            Kind::ForgaveDisputed => take(&mut self.disputed, credits),
            Kind::ForgivenDisputed => take(&mut self.refused, credits),
            Kind::Blocked => self.blocked = true,
            Kind::Unblocked => self.blocked = false,
            Kind::Lent => self.lent = Some(credits),
            Kind::LentNoMore => self.lent = None,
            Kind::PaymentProposed | Kind::ImportedOrder | Kind::ImportedAck | Kind::ImportedDispute => {}
        }
    }

    fn close(&mut self, reserved: u64) {
        take(&mut self.open_orders, 1);
        take(&mut self.reserved, reserved);
    }

    fn unclaim(&mut self, credits: u64) {
        take(&mut self.claims, 1);
        take(&mut self.claimed, credits);
    }

    fn settle(&mut self, credits: u64) {
        add(&mut self.settled_orders, 1);
        add(&mut self.earned, credits);
    }

    fn answered(&mut self, reserved: u64) {
        take(&mut self.awaited_orders, 1);
        take(&mut self.ordered, reserved);
    }
}

/// What is drawn on by all of one kind together, so much a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// All keys that were never seen before.
    Newcomers,
    /// All that do not say who they are.
    Anonymous,
}

impl Pool {
    /// The one that a party draws on.
    pub(crate) const fn of(who: Party) -> Self {
        match who {
            Party::Anonymous => Pool::Anonymous,
            Party::Node(_) | Party::Believed(_) => Pool::Newcomers,
        }
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            Pool::Newcomers => 0,
            Pool::Anonymous => 1,
        }
    }

    pub(crate) const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Pool::Newcomers),
            1 => Some(Pool::Anonymous),
            _ => None,
        }
    }
}

/// What was drawn from a pool on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// Credits that are reserved or charged.
    pub credits: u64,
    /// Requests that were admitted, whatever came of them.
    pub requests: u64,
}

impl Drawn {
    pub(crate) fn apply(&mut self, step: &Step<'_>) {
        match step.kind {
            Kind::Taken | Kind::TakenUnordered | Kind::Resumed => {
                add(&mut self.credits, step.pool);
                add(&mut self.requests, 1);
            }
            Kind::Released | Kind::Claimed | Kind::ClaimedUnordered => take(&mut self.credits, step.pool),
            _ => {}
        }
    }
}

/// Standings and pools of any journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standings {
    pub(crate) of: BTreeMap<Party, Standing>,
    pub(crate) pools: BTreeMap<(Pool, u64), Drawn>,
}

impl Standings {
    pub(crate) fn apply(&mut self, step: &Step<'_>) {
        self.of.entry(step.who).or_default().apply(step);
        if step.day > 0 {
            self.pools.entry((Pool::of(step.who), step.day)).or_default().apply(step);
        }
    }
}

fn add(sum: &mut u64, credits: u64) {
    *sum = sum.saturating_add(credits).min(CREDITS_MAX);
}

/// Never below zero, unless the journal is damaged.
fn take(sum: &mut u64, credits: u64) {
    *sum = sum.saturating_sub(credits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_paid_too_much_is_owed_the_other_way() {
        let standing = Standing { earned: 100, paid_to_me: 130, spent: 5, ..Standing::default() };
        assert_eq!((standing.owed_to_me(), standing.owed_by_me()), (0, 35));
        let standing =
            Standing { earned: 100, paid_to_me: 30, spent: 5, paid_by_me: 7, ..Standing::default() };
        assert_eq!((standing.owed_to_me(), standing.owed_by_me()), (72, 0));
    }

    #[test]
    fn all_that_is_owed_or_reserved_holds_the_line() {
        let standing =
            Standing { earned: 10, claimed: 20, disputed: 30, reserved: 40, spent: 1, ..Standing::default() };
        let limit = |limit| Credits::saturating(limit);
        assert_eq!(standing.debt(), 99);
        assert_eq!(standing.available(limit(100)), limit(1));
        assert_eq!(standing.available(limit(99)), Credits::ZERO);
        assert_eq!(standing.available(Credits::ZERO), Credits::ZERO);
        let lent = Standing { lent: Some(200), ..standing };
        assert_eq!(lent.available(limit(1)), limit(101));
    }
}
