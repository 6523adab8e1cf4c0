//! What a file tells of others: receipts, and the orders and acknowledgements that go with them.
//!
//! It moves no credit: a lost ledger is restored from a backup, not from a file that anybody may have
//! made longer or shorter. One thing counts: the acknowledgement of a claim of ours, which its requester
//! signed wherever we read it.

use crate::{
    append::Append,
    entry::Posted,
    exchange::{self, Exchange, Phase, Side, order_id},
    journal::{Kind, Step},
    party::Party,
    post::{Item, PostError},
    serving::acks,
    work::Work,
};
use protocol::{Ack, Order, Timestamp, Verified, ack::Verdict};

/// One line of a file, its signatures checked, and that they belong together.
pub(crate) struct Line {
    pub(crate) item: Item,
    pub(crate) order: Option<Verified<Order>>,
    pub(crate) ack: Option<Verified<Ack>>,
}

impl Work for Line {
    type Done = Posted;
    type Refused = PostError;
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Posted, PostError>> {
        let posted = match books.post(&self.item)? {
            Ok(posted) => posted,
            refused => return Ok(refused),
        };
        if let Some(order) = &self.order {
            let known = exchange::of_entry(books.conn(), posted.seq())?;
            let exchange = match known {
                Some(known) => Some(known),
                None => self.begin(books, order, posted.seq())?,
            };
            if let (Some(exchange), Some(ack)) = (exchange, &self.ack) {
                self.acknowledge(books, &exchange, ack)?;
            }
        }
        Ok(Ok(posted))
    }
}

impl Line {
    /// `None` if another receipt was read before for the same order: then this one stays alone.
    fn begin(
        &self,
        books: &mut Append<'_>,
        order: &Verified<Order>,
        entry: u64,
    ) -> rusqlite::Result<Option<Exchange>> {
        let conn = books.conn();
        let (Some(id), sha256) = (order_id(&order.order_id), order.signed().sha256()) else {
            return Ok(None);
        };
        let (side, requester) = (Side::Imported, order.requester);
        if exchange::of_order(conn, side, requester, &id)?.is_some()
            || exchange::of_sha256(conn, side, &sha256)?.is_some()
        {
            return Ok(None);
        }
        let who = Party::Node(requester);
        let json = order.to_json();
        let step = Step::new(Kind::ImportedOrder, self.item.posted_at, who);
        let seq = books.record(&Step { entry, signed: &json, ..step })?;
        let exchange = Exchange {
            seq,
            side,
            who,
            order_id: Some(id),
            order_sha256: Some(sha256),
            phase: Phase::Claimed,
            reserved: 0,
            pool: 0,
            day: 0,
            credits: 0,
            entry,
            ack: 0,
        };
        exchange.insert(conn, 0, Timestamp::from_millis(0))?;
        Ok(Some(exchange))
    }

    fn acknowledge(
        &self,
        books: &mut Append<'_>,
        exchange: &Exchange,
        ack: &Verified<Ack>,
    ) -> rusqlite::Result<()> {
        let now = self.item.posted_at;
        match (exchange.side, exchange.ack) {
            (Side::Served, _) => {
                // A dispute after an ok changes nothing, here as elsewhere.
                let _ = acks::take(books, exchange, ack, now)?;
            }
            (Side::Imported, 0) => {
                let (kind, phase) = match ack.verdict {
                    Verdict::Ok => (Kind::ImportedAck, Phase::Settled),
                    Verdict::Dispute(_) => (Kind::ImportedDispute, Phase::Disputed),
                };
                let signed = ack.to_json();
                let Exchange { seq, entry, who, .. } = *exchange;
                let step = Step { about: seq, entry, signed: &signed, ..Step::new(kind, now, who) };
                let row = books.record(&step)?;
                exchange::acknowledge(books.conn(), seq, phase, row)?;
            }
            (Side::Imported | Side::Asked, _) => {}
        }
        Ok(())
    }
}
