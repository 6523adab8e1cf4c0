//! Orders of ours.

use crate::{
    append::Append,
    exchange::{self, Exchange, OrderId, Phase, Side},
    journal::{Kind, Step},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Credits, NodeId, Timestamp, limits::STATEMENT_BYTES_MAX};

/// Why an order is not remembered. It must not be sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlaceError {
    /// Another order to this worker has this id.
    #[error("this order's id was used before at this worker, make a new one")]
    IdUsed,
    /// It was not signed by us.
    #[error("the order is another node's")]
    NotOurs,
    /// It could not be read back.
    #[error("the order is {bytes} bytes long and at most {STATEMENT_BYTES_MAX} are kept")]
    TooLong {
        /// Its length as canonical JSON.
        bytes: usize,
    },
    /// The ledger could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

pub(crate) struct Place {
    pub(crate) worker: NodeId,
    pub(crate) id: OrderId,
    pub(crate) sha256: [u8; 32],
    pub(crate) json: String,
    pub(crate) credits: Credits,
    pub(crate) now: Timestamp,
}

impl Work for Place {
    type Done = ();
    type Refused = PlaceError;
    // A power cut that forgets it ends the exchange too: then its receipt is never asked for, and the
    // worker is left with a claim.
    const DURABLE: bool = false;

    /// The same order again is no error.
    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), PlaceError>> {
        let conn = books.conn();
        if let Some(before) = exchange::of_order(conn, Side::Asked, self.worker, &self.id)? {
            let same = before.order_sha256 == Some(self.sha256);
            return Ok(if same { Ok(()) } else { Err(PlaceError::IdUsed) });
        }
        let (reserved, who) = (self.credits.get(), Party::Node(self.worker));
        let placed = Step { reserved, signed: &self.json, ..Step::new(Kind::Placed, self.now, who) };
        let seq = books.record(&placed)?;
        let open = Exchange {
            seq,
            side: Side::Asked,
            who,
            order_id: Some(self.id),
            order_sha256: Some(self.sha256),
            phase: Phase::Open,
            reserved,
            pool: 0,
            day: 0,
            credits: 0,
            entry: 0,
            ack: 0,
        };
        open.insert(conn, 0, self.now)?;
        Ok(Ok(()))
    }
}
