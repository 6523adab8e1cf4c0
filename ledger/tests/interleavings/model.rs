//! The rules of credit, written down another way: everything is added up anew each time.

use crate::{
    Do, Fate,
    common::{
        Home, NOW, id, key,
        trade::{ack, answer, credits, friend, later, newcomer, order, uuid},
    },
};
use ledger::{
    AckError, AdmitError, ByCreditor, Ledger, Line, Party, Pool, Refusal, Reservation, SettleError,
    Settlement, SettlementHalf, Standing,
};
use protocol::{Order, Receipt, Timestamp, Verified, ack::Verdict};
use std::collections::BTreeMap;

const NEWCOMER_ALLOWANCE: u64 = 300;
const POOL: u64 = 500;
const FRIEND_LIMIT: u64 = 1000;
const DAY: u64 = 24 * 60 * 60 * 1000;

struct Tried {
    who: u8,
    order: Verified<Order>,
    reserved: u64,
    /// From the pool of which day.
    drawn: u64,
    day: u64,
    receipt: Option<Verified<Receipt>>,
    fate: Fate,
    held: Option<Reservation>,
}

/// A ledger, and what should be in it.
pub(crate) struct Model {
    pub(crate) home: Home,
    ledger: Ledger,
    tried: Vec<Tried>,
    bought: BTreeMap<u8, u64>,
    refused: BTreeMap<u8, u64>,
    forgiven: BTreeMap<u8, u64>,
    day: u64,
    next: u128,
}

impl Model {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        let ledger = home.open();
        let (tried, bought, refused, forgiven) = Default::default();
        Self { home, ledger, tried, bought, refused, forgiven, day: 0, next: 0 }
    }

    fn now(&self) -> Timestamp {
        later(self.day * DAY)
    }

    /// Nodes 2 and 3 are friends.
    fn line(who: u8) -> Line {
        if who < 4 { friend(FRIEND_LIMIT) } else { newcomer(NEWCOMER_ALLOWANCE, POOL) }
    }

    fn sum(&self, who: u8, of: impl Fn(&Tried) -> u64) -> u64 {
        self.tried.iter().filter(|tried| tried.who == who).map(of).sum()
    }

    fn standing(&self, who: u8) -> Standing {
        let count = |is: fn(Fate) -> bool| self.sum(who, |tried| u64::from(is(tried.fate)));
        let paid = self.forgiven.get(&who).copied().unwrap_or_default();
        Standing {
            open_orders: count(|fate| fate == Fate::Runs),
            reserved: self.sum(who, |tried| if tried.fate == Fate::Runs { tried.reserved } else { 0 }),
            claims: count(|fate| matches!(fate, Fate::Claimed(_))),
            claimed: self.sum(who, |tried| if let Fate::Claimed(c) = tried.fate { c } else { 0 }),
            disputed: self.sum(who, |tried| if let Fate::Disputed(c) = tried.fate { c } else { 0 }),
            settled_orders: count(|fate| matches!(fate, Fate::Settled(_) | Fate::ForgivenSettled(_))),
            earned: self.sum(who, |tried| match tried.fate {
                Fate::Settled(c) | Fate::ForgivenSettled(c) => c,
                _ => 0,
            }),
            spent: self.bought.get(&who).copied().unwrap_or_default(),
            refused: self.refused.get(&who).copied().unwrap_or_default(),
            paid_to_me: paid
                + self.sum(who, |tried| if let Fate::ForgivenSettled(c) = tried.fate { c } else { 0 }),
            ..Standing::default()
        }
    }

    /// Owed to us and held by orders, less owed by us.
    fn debt(&self, who: u8) -> i64 {
        let s = self.standing(who);
        let owes = s.earned + s.claimed + s.disputed + s.reserved;
        owes as i64 - s.paid_to_me as i64 - s.spent as i64
    }

    fn drawn(&self, day: u64) -> u64 {
        let of = self.tried.iter().filter(|tried| tried.day == day && tried.fate != Fate::Released);
        of.map(|tried| {
            let own = tried.reserved - tried.drawn;
            match (tried.fate, &tried.receipt) {
                (Fate::Runs, _) => tried.drawn,
                (_, Some(receipt)) => receipt.answers.as_ref().unwrap().credits.get().saturating_sub(own),
                (_, None) => 0,
            }
        })
        .sum()
    }

    /// What it may spend, and how much of `amount` it would borrow from the pool.
    fn available(&self, who: u8, amount: u64) -> (u64, u64) {
        let debt = self.debt(who);
        if who < 4 {
            return ((FRIEND_LIMIT as i64 - debt).max(0) as u64, 0);
        }
        let own = (-debt).max(0) as u64;
        let lent = (NEWCOMER_ALLOWANCE as i64 - debt.max(0)).max(0) as u64;
        (own + lent.min(POOL - self.drawn(self.day).min(POOL)), amount.saturating_sub(own))
    }

    fn expected(&self, who: u8, amount: u64) -> Result<u64, Refusal> {
        let standing = self.standing(who);
        let unacknowledged = standing.claims + standing.open_orders;
        let allowed = if who < 4 { 4096 } else { (1 + standing.settled_orders / 4).min(64) };
        if unacknowledged >= allowed {
            return Err(Refusal::AckRequired { unacknowledged, allowed });
        }
        let (available, drawn) = self.available(who, amount);
        if amount > available {
            Err(Refusal::Insufficient { available: credits(available) })
        } else {
            Ok(drawn)
        }
    }

    pub(crate) fn check(&self, when: &Do) {
        let reader = self.ledger.reader().unwrap();
        for who in 2..6 {
            let kept = reader.standing(Party::Node(id(who))).unwrap();
            assert_eq!(kept, self.standing(who), "node {who} after {when:?}");
        }
        let drawn = reader.drawn(Pool::Newcomers, self.now()).unwrap().credits;
        assert_eq!(drawn, self.drawn(self.day), "after {when:?}");
        assert!(drawn <= POOL);
    }

    pub(crate) async fn apply(&mut self, what: &Do) {
        match *what {
            Do::Admit(who, amount) => self.admit(who, amount).await,
            Do::Claim(at, part) => self.claim(at, part).await,
            Do::Release(at) => self.release(at).await,
            Do::Resume(at) => self.resume(at).await,
            Do::Ack(at, ok) => self.acknowledge(at, ok).await,
            Do::ForgiveOrder(at) => self.forgive_order(at).await,
            Do::ForgiveSum(who, amount) => self.forgive_sum(who, amount).await,
            Do::Buy(who, amount, ok) => self.buy(who, amount, ok).await,
            Do::NextDay => self.day += 1,
            Do::Restart => {
                self.ledger.close();
                for tried in self.tried.iter_mut().filter(|tried| tried.fate == Fate::Runs) {
                    tried.fate = Fate::Released;
                    tried.held = None;
                }
                self.ledger = self.home.open();
                self.ledger.release_orphans(self.now()).await.unwrap();
            }
        }
    }

    async fn admit(&mut self, who: u8, amount: u64) {
        self.next += 1;
        let order = order(who, 1, self.next, amount);
        let expected = self.expected(who, amount);
        match (self.ledger.admit(&order, Self::line(who), self.now()).await, expected) {
            (Ok(held), Ok(drawn)) => self.tried.push(Tried {
                who,
                order,
                reserved: amount,
                drawn,
                day: self.day,
                receipt: None,
                fate: Fate::Runs,
                held: Some(held),
            }),
            (Err(AdmitError::Refused(refusal)), Err(expected)) => assert_eq!(refusal, expected),
            (admitted, expected) => panic!("{admitted:?} instead of {expected:?}"),
        }
    }

    async fn claim(&mut self, at: usize, part: u64) {
        let now = self.now();
        let ledger = self.ledger.clone();
        let Some(tried) = self.tried.get_mut(at) else { return };
        let Some(held) = tried.held.take() else { return };
        let charged = tried.reserved * part / 16;
        let receipt = answer(&tried.order, 1, charged);
        ledger.claim(held, receipt.clone(), now).await.unwrap();
        tried.receipt = Some(receipt);
        tried.fate = Fate::Claimed(charged);
    }

    async fn release(&mut self, at: usize) {
        let now = self.now();
        let Some(tried) = self.tried.get_mut(at) else { return };
        let Some(held) = tried.held.take() else { return };
        self.ledger.release(held, now).await.unwrap();
        tried.fate = Fate::Released;
    }

    async fn resume(&mut self, at: usize) {
        let Some(&Tried { who, reserved, fate, .. }) = self.tried.get(at) else { return };
        let order_id = self.tried[at].order.order_id.clone();
        let expected = self.expected(who, reserved);
        match (self.ledger.resume(id(who), &order_id, Self::line(who), self.now()).await, expected) {
            (Err(AdmitError::NotReleased), _) => assert_ne!(fate, Fate::Released),
            (Ok(held), Ok(drawn)) => {
                assert_eq!(fate, Fate::Released);
                let day = self.day;
                let tried = &mut self.tried[at];
                (tried.fate, tried.drawn, tried.day, tried.held) = (Fate::Runs, drawn, day, Some(held));
            }
            (Err(AdmitError::Refused(refusal)), Err(expected)) => assert_eq!(refusal, expected),
            (resumed, expected) => panic!("{resumed:?} instead of {expected:?}"),
        }
    }

    async fn acknowledge(&mut self, at: usize, ok: bool) {
        let now = self.now();
        let Some(tried) = self.tried.get_mut(at) else { return };
        let Some(receipt) = &tried.receipt else { return };
        let verdict = if ok { Verdict::Ok } else { Verdict::Dispute(None) };
        let ack = ack(tried.who, receipt, verdict).signed().clone();
        let taken = self.ledger.take_acks(vec![ack], now).await.remove(0);
        tried.fate = match (tried.fate, ok) {
            (Fate::Claimed(c) | Fate::Disputed(c), true) => Fate::Settled(c),
            (Fate::Claimed(c), false) => Fate::Disputed(c),
            (Fate::Settled(_), false) => {
                assert!(matches!(taken, Err(AckError::DisputeAfterOk)));
                return;
            }
            (fate, _) => fate,
        };
        taken.unwrap();
    }

    fn forgiveness(&mut self, who: u8, amount: u64, order: Option<String>) -> SettlementHalf {
        self.next += 1;
        let (from, to, id) = (id(who), id(1), uuid(self.next));
        let body = Settlement::forgiven(from, to, credits(amount), order, id, NOW);
        SettlementHalf::Creditor(Verified::sign(ByCreditor(body), &key(1)).unwrap())
    }

    async fn forgive_order(&mut self, at: usize) {
        let Some(tried) = self.tried.get(at) else { return };
        let charged =
            tried.receipt.as_ref().map_or(0, |receipt| receipt.answers.as_ref().unwrap().credits.get());
        let (who, order_id) = (tried.who, tried.order.order_id.clone());
        let half = self.forgiveness(who, charged, Some(order_id));
        let settled = self.ledger.settle(half, self.now()).await;
        let tried = &mut self.tried[at];
        tried.fate = match tried.fate {
            Fate::Claimed(_) | Fate::Disputed(_) => Fate::Forgiven,
            Fate::Settled(c) => Fate::ForgivenSettled(c),
            fate => {
                assert!(matches!(settled, Err(SettleError::NoReceipt | SettleError::ForgivenBefore)));
                tried.fate = fate;
                return;
            }
        };
        settled.unwrap();
    }

    async fn forgive_sum(&mut self, who: u8, amount: u64) {
        let owed = self.standing(who).owed_to_me();
        let half = self.forgiveness(who, amount, None);
        match self.ledger.settle(half, self.now()).await {
            Ok(_) => {
                assert!(amount <= owed);
                *self.forgiven.entry(who).or_default() += amount;
            }
            Err(SettleError::MoreThanOwed { owed: said }) => {
                assert_eq!((said, amount > owed), (credits(owed), true))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn buy(&mut self, who: u8, amount: u64, ok: bool) {
        self.next += 1;
        let order = order(1, who, self.next, amount);
        let receipt = answer(&order, who, amount);
        self.ledger.place(&order, self.now()).await.unwrap();
        let verdict = if ok { Verdict::Ok } else { Verdict::Dispute(None) };
        self.ledger.post_received(receipt.clone(), ack(1, &receipt, verdict), self.now()).await.unwrap();
        *if ok { &mut self.bought } else { &mut self.refused }.entry(who).or_default() += amount;
    }
}
