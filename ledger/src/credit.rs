//! Pure: who may spend how much (SPEC section 4).
//!
//! The bound on what a request may cost is reserved before the engine is asked. Whether it is depends
//! on the party's standing, its line and, for who was never seen before, on what all such parties
//! together have drawn today.

use crate::{
    limits::{FRIEND_CLAIMS_MAX, ORDERS_A_CLAIM, STRANGER_CLAIMS_MAX},
    standing::{Drawn, Standing},
};
use protocol::Credits;

/// What we lend a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The owner listed it: its `credit_limit`.
    Friend {
        /// The most that it may owe us.
        limit: Credits,
    },
    /// Nobody knows it.
    Newcomer {
        /// The most that it may owe us; it is lent once, not once a day.
        allowance: Credits,
        /// The most that all newcomers together take of a day (UTC). What was reserved before midnight
        /// counts for the day before.
        pool_per_day: Credits,
    },
}

/// Why nothing is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The owner's decision.
    #[error("this worker's owner has blocked you")]
    Blocked,
    /// It owes too many acknowledgements.
    #[error("{unacknowledged} of your orders run or wait for your acknowledgement, allowed are {allowed}")]
    AckRequired {
        /// Claims that wait, and orders that run.
        unacknowledged: u64,
        /// How many there may be.
        allowed: u64,
    },
    /// It may cost more than is lent.
    #[error("{available} credits are available to you here")]
    Insufficient {
        /// The most that an order may cost now.
        available: Credits,
    },
}

/// How many claims a party may leave unacknowledged; orders that run count.
pub fn claims_allowed(line: Line, standing: &Standing) -> u64 {
    match line_of(line, standing) {
        Line::Friend { .. } => FRIEND_CLAIMS_MAX,
        Line::Newcomer { .. } => (1 + standing.settled_orders / ORDERS_A_CLAIM).min(STRANGER_CLAIMS_MAX),
    }
}

/// Whether a request that may cost `credits` is admitted, and how much of them it draws from the pool;
/// `None` if it draws on none. `drawn`: what was drawn from that today. `ordered`: whether an order stands
/// behind it, which alone can be acknowledged.
pub(crate) fn decide(
    credits: Credits,
    line: Line,
    standing: &Standing,
    drawn: Drawn,
    ordered: bool,
) -> Result<Option<u64>, Refusal> {
    if standing.blocked {
        return Err(Refusal::Blocked);
    }
    let unacknowledged = standing.claims.saturating_add(standing.open_orders);
    let allowed = claims_allowed(line, standing);
    if ordered && unacknowledged >= allowed {
        return Err(Refusal::AckRequired { unacknowledged, allowed });
    }
    let available = available(line, standing, drawn);
    let borrows = matches!(line_of(line, standing), Line::Newcomer { .. });
    // With nothing to spend, not even what costs nothing is let in.
    if credits > available || borrows && available == Credits::ZERO {
        return Err(Refusal::Insufficient { available });
    }
    // Credit of its own is spent first: only what goes beyond it is borrowed.
    Ok(borrows.then(|| credits.get().saturating_sub(own(standing))))
}

/// What a request may cost at the most.
pub(crate) fn available(line: Line, standing: &Standing, drawn: Drawn) -> Credits {
    match line_of(line, standing) {
        Line::Friend { limit } => standing.available(limit),
        Line::Newcomer { allowance, pool_per_day } => {
            let owes = standing.debt().max(0);
            let of_allowance = (i128::from(allowance.get()) - owes).max(0).try_into().unwrap_or(u64::MAX);
            let of_pool = left(pool_per_day, drawn);
            Credits::saturating(own(standing).saturating_add(of_pool.min(of_allowance)))
        }
    }
}

/// The same for all who do not say who they are: so much a day, and nobody owes it.
pub(crate) fn decide_anonymous(
    credits: Credits,
    per_day: Credits,
    drawn: Drawn,
) -> Result<Option<u64>, Refusal> {
    let available = Credits::saturating(left(per_day, drawn));
    if credits > available || available == Credits::ZERO {
        return Err(Refusal::Insufficient { available });
    }
    Ok(Some(credits.get()))
}

/// What is left of a day's pool. Each request counts as one credit at least: each leaves rows behind, also
/// one that costs nothing.
fn left(per_day: Credits, drawn: Drawn) -> u64 {
    per_day.get().saturating_sub(drawn.credits.max(drawn.requests))
}

/// What was drawn from the pool and is given back when a reservation ends in a charge of `credits`.
pub(crate) fn undrawn(reserved: u64, drawn: u64, credits: u64) -> u64 {
    let own = reserved.saturating_sub(drawn);
    drawn.saturating_sub(credits.saturating_sub(own))
}

/// The owner's word counts for more than the settings.
fn line_of(line: Line, standing: &Standing) -> Line {
    standing.lent.map_or(line, |limit| Line::Friend { limit: Credits::saturating(limit) })
}

/// What we owe the party beyond all that it owes us.
fn own(standing: &Standing) -> u64 {
    (-standing.debt()).max(0).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWCOMER: Line = Line::Newcomer { allowance: credits(100), pool_per_day: credits(250) };

    const fn credits(amount: u64) -> Credits {
        Credits::saturating(amount)
    }

    fn insufficient(available: u64) -> Result<Option<u64>, Refusal> {
        Err(Refusal::Insufficient { available: credits(available) })
    }

    fn drawn(credits: u64) -> Drawn {
        Drawn { credits, requests: 1 }
    }

    #[test]
    fn a_friend_spends_its_line_and_draws_on_no_pool() {
        let friend = Line::Friend { limit: credits(100) };
        let standing = Standing { claimed: 40, claims: 1, ..Standing::default() };
        assert_eq!(decide(credits(60), friend, &standing, drawn(9999), true), Ok(None));
        assert_eq!(decide(credits(61), friend, &standing, drawn(0), true), insufficient(60));
    }

    #[test]
    fn a_newcomer_spends_its_own_before_it_borrows() {
        let new = Standing::default();
        assert_eq!(decide(credits(100), NEWCOMER, &new, drawn(0), true), Ok(Some(100)));
        assert_eq!(decide(credits(101), NEWCOMER, &new, drawn(0), true), insufficient(100));
        assert_eq!(decide(credits(100), NEWCOMER, &new, drawn(200), true), insufficient(50));
        let earned = Standing { spent: 70, ..new };
        assert_eq!(decide(credits(70), NEWCOMER, &earned, drawn(250), true), Ok(Some(0)));
        assert_eq!(decide(credits(170), NEWCOMER, &earned, drawn(150), true), Ok(Some(100)));
        assert_eq!(decide(credits(170), NEWCOMER, &earned, drawn(151), true), insufficient(169));
        let indebted = Standing { earned: 80, ..new };
        assert_eq!(decide(credits(21), NEWCOMER, &indebted, drawn(0), true), insufficient(20));
    }

    #[test]
    fn a_strangers_window_grows_with_what_it_settled() {
        let allowed =
            |settled_orders| claims_allowed(NEWCOMER, &Standing { settled_orders, ..Standing::default() });
        assert_eq!([0, 3, 4, 8, 251, 252, 100_000].map(allowed), [1, 1, 2, 3, 63, 64, 64]);
        let busy = Standing { claims: 1, open_orders: 1, settled_orders: 4, ..Standing::default() };
        let refused = Refusal::AckRequired { unacknowledged: 2, allowed: 2 };
        assert_eq!(decide(credits(1), NEWCOMER, &busy, drawn(0), true), Err(refused));
        assert_eq!(decide(credits(1), NEWCOMER, &busy, drawn(0), false), Ok(Some(1)));
    }

    #[test]
    fn what_costs_nothing_is_bounded_too() {
        let last = Drawn { credits: 0, requests: 249 };
        let all = Drawn { requests: 250, ..last };
        let new = Standing::default();
        assert_eq!(decide(Credits::ZERO, NEWCOMER, &new, last, true), Ok(Some(0)));
        assert_eq!(decide(Credits::ZERO, NEWCOMER, &new, all, true), insufficient(0));
        assert_eq!(decide_anonymous(Credits::ZERO, credits(250), last), Ok(Some(0)));
        assert_eq!(decide_anonymous(Credits::ZERO, credits(250), all), insufficient(0));
        assert_eq!(decide(Credits::ZERO, Line::Friend { limit: credits(1) }, &new, all, true), Ok(None));
    }

    #[test]
    fn the_owners_word_counts_for_more_than_the_settings() {
        let lent = Standing { lent: Some(500), claims: 3, claimed: 100, ..Standing::default() };
        assert_eq!(decide(credits(400), NEWCOMER, &lent, drawn(250), true), Ok(None));
        assert_eq!(decide(credits(401), NEWCOMER, &lent, drawn(0), true), insufficient(400));
        let blocked = Standing { blocked: true, ..lent };
        assert_eq!(decide(credits(1), NEWCOMER, &blocked, drawn(0), true), Err(Refusal::Blocked));
    }

    #[test]
    fn a_charge_takes_its_own_part_first_and_gives_the_rest_back() {
        assert_eq!(undrawn(100, 100, 0), 100);
        assert_eq!(undrawn(100, 60, 40), 60);
        assert_eq!(undrawn(100, 60, 41), 59);
        assert_eq!(undrawn(100, 60, 100), 0);
        assert_eq!(undrawn(100, 0, 100), 0);
    }

    #[test]
    fn nobody_in_particular_has_a_pool_of_its_own() {
        assert_eq!(decide_anonymous(credits(10), credits(30), drawn(20)), Ok(Some(10)));
        assert_eq!(decide_anonymous(credits(11), credits(30), drawn(20)), insufficient(10));
        assert_eq!(decide_anonymous(credits(1), Credits::ZERO, drawn(0)), insufficient(0));
    }
}
