//! The credit half of the read side.

use super::{QueryError, Reader};
use crate::{
    append::sums,
    asking::{
        awaited::{self, Awaited},
        outbox::{self, AckBatch},
    },
    column::integer,
    credit::{self, Line},
    entry::State,
    exchange::{self, Phase, Side, order_id},
    journal::day_of,
    party::Party,
    serving::acks::{self, Collected},
    standing::{Drawn, Pool, Standing},
};
use protocol::{Credits, NodeId, Order, Signed, Timestamp};
use rusqlite::{OptionalExtension, params};

const SIGNED: &str = "SELECT signed FROM journal WHERE seq = ?1";

/// What belongs to a receipt, each in canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Papers {
    /// `{"order":…,"signature":"…"}`
    pub order: Option<String>,
    /// `{"ack":…,"signature":"…"}`, the last there was.
    pub ack: Option<String>,
}

impl Reader {
    /// How we stand with a party; nothing in it where there never was anything.
    pub fn standing(&self, who: Party) -> Result<Standing, QueryError> {
        Ok(sums::read(&self.conn, who)?)
    }

    /// All of them, at most `limit` of those that come after `after`. Rows whose party is damaged are
    /// left to the audit.
    pub fn standings(
        &self,
        after: Option<Party>,
        limit: usize,
    ) -> Result<Vec<(Party, Standing)>, QueryError> {
        let from = if after.is_some() { ">" } else { ">=" };
        let sql =
            format!("SELECT {}, who FROM standing WHERE who {from} ?1 ORDER BY who LIMIT ?2", sums::COLUMNS);
        // None comes before who says nothing.
        let after = after.unwrap_or(Party::Anonymous);
        let mut standings = self.conn.prepare_cached(&sql)?;
        let mut rows = standings.query(params![after, integer(limit as u64)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(who) = row.get_ref(15)?.as_bytes().ok().and_then(Party::from_bytes) {
                found.push((who, sums::from_row(row)?));
            }
        }
        Ok(found)
    }

    /// Nodes that owe us at least `credits` more than we owe them, by what is settled: at most `limit` of
    /// them, those that owe most first.
    pub fn debtors(&self, credits: u64, limit: usize) -> Result<Vec<NodeId>, QueryError> {
        let mut debtors = self.conn.prepare_cached(
            "SELECT who FROM standing WHERE earned + paid_by_me - spent - paid_to_me >= ?1
             ORDER BY earned + paid_by_me - spent - paid_to_me DESC LIMIT ?2",
        )?;
        let mut rows = debtors.query([credits, limit as u64].map(integer))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(Party::Node(node)) = row.get_ref(0)?.as_bytes().ok().and_then(Party::from_bytes) {
                found.push(node);
            }
        }
        Ok(found)
    }

    /// What an order of this party may cost at the most now, if its line is `line`.
    pub fn available(&self, who: Party, line: Line, now: Timestamp) -> Result<Credits, QueryError> {
        let drawn = self.drawn(Pool::of(who), now)?;
        Ok(credit::available(line, &self.standing(who)?, drawn))
    }

    /// What was drawn from a pool on the day (UTC) of `now`.
    pub fn drawn(&self, pool: Pool, now: Timestamp) -> Result<Drawn, QueryError> {
        Ok(sums::read_drawn(&self.conn, pool, day_of(now))?)
    }

    /// What has become of an order that `requester` gave us. A receipt can be collected for good.
    pub fn receipt_for(&self, requester: NodeId, order: &str) -> Result<Collected, QueryError> {
        let Some(id) = order_id(order) else { return Ok(Collected::Nothing) };
        Ok(acks::collect(&self.conn, requester, &id)?)
    }

    /// Acknowledgements that wait, for at most `workers_max` workers whose time has come; a batch for
    /// each, longest due first.
    pub fn due(&self, now: Timestamp, workers_max: usize) -> Result<Vec<AckBatch>, QueryError> {
        Ok(outbox::due(&self.conn, now, workers_max)?)
    }

    /// An order of ours, by whom it was given to and its id. `None` if it was never placed.
    pub fn order_placed(&self, worker: NodeId, order: &str) -> Result<Option<Signed<Order>>, QueryError> {
        let Some(id) = order_id(order) else { return Ok(None) };
        Ok(awaited::placed(&self.conn, worker, &id)?)
    }

    /// What an order of ours came to cost; `None` while its receipt is awaited. What was never placed, is lost,
    /// disputed or forgiven costs nothing.
    pub fn order_cost(&self, worker: NodeId, order: &str) -> Result<Option<Credits>, QueryError> {
        let Some(id) = order_id(order) else { return Ok(Some(Credits::ZERO)) };
        let found = exchange::of_order(&self.conn, Side::Asked, worker, &id)?;
        Ok(match found.map(|found| (found.phase, found.credits)) {
            Some((Phase::Open, _)) => None,
            Some((Phase::Claimed | Phase::Settled, credits)) => Some(Credits::saturating(credits)),
            Some((Phase::Gone | Phase::Disputed | Phase::Forgiven, _)) | None => Some(Credits::ZERO),
        })
    }

    /// Orders of ours that were placed until `placed_before` and wait for their receipt, as far as they
    /// are to be asked for by now; longest due first.
    pub fn unanswered(
        &self,
        now: Timestamp,
        placed_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Awaited>, QueryError> {
        Ok(awaited::unanswered(&self.conn, now, placed_before, limit)?)
    }

    /// The order and the acknowledgement of the receipt at an entry. What is damaged is left out.
    pub fn papers(&self, entry: u64) -> Papers {
        let Ok(Some(exchange)) = exchange::of_entry(&self.conn, entry) else { return Papers::default() };
        let signed = |row: u64| self.signed(row).ok().flatten().filter(|text| !text.is_empty());
        let order = exchange.order_sha256.and_then(|_| signed(exchange.seq));
        let ack = if exchange.ack > 0 { signed(exchange.ack) } else { None };
        Papers { order, ack }
    }

    fn signed(&self, row: u64) -> rusqlite::Result<Option<String>> {
        self.conn.prepare_cached(SIGNED)?.query_row([integer(row)], |row| row.get(0)).optional()
    }

    pub(super) fn state(&self, entry: u64) -> State {
        match exchange::of_entry(&self.conn, entry) {
            Ok(Some(exchange)) if exchange.order_sha256.is_some() => match exchange.phase {
                Phase::Settled | Phase::Forgiven => State::Settled,
                Phase::Disputed => State::Disputed,
                Phase::Open | Phase::Gone | Phase::Claimed => State::Claimed,
            },
            // Also where the exchange is damaged: then the receipt is all that can be shown.
            _ => State::V1,
        }
    }
}
