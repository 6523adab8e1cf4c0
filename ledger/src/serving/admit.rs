//! Admitting a request: never twice the same order, never more than is available, in one transaction.

use super::{release::sweep_again, reservation::Reservation};
use crate::{
    append::Append,
    credit::{Line, Refusal, decide, decide_anonymous},
    exchange::{self, Exchange, OrderId, Phase, Side},
    handle::Open,
    journal::{Kind, Step, day_of},
    party::Party,
    standing::Pool,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Credits, NodeId, Timestamp, limits::STATEMENT_BYTES_MAX};
use std::{
    io,
    sync::{Arc, Weak},
};

/// Why a request is not admitted. Nothing is reserved for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdmitError {
    /// An order is taken once, for good.
    #[error("this order was taken before, sign a new one")]
    AlreadyTaken,
    /// To resume: no such order was ever taken.
    #[error("this order was never taken here")]
    NeverTaken,
    /// To resume: it runs, or its receipt is there.
    #[error("this order runs, or is answered")]
    NotReleased,
    /// It is for somebody else.
    #[error("the order is for another worker")]
    AnotherWorker,
    /// It could not be read back.
    #[error("the order is {bytes} bytes long and at most {STATEMENT_BYTES_MAX} are kept")]
    TooLong {
        /// Its length as canonical JSON.
        bytes: usize,
    },
    /// The requester may not spend so much, or so many at once.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The file that says that we live.
    #[error("the file beside the ledger that shows that this node runs cannot be locked")]
    Lock(#[source] Arc<io::Error>),
    /// The ledger could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// What stands behind a request that is to be admitted.
pub(crate) enum Behind {
    /// An order that was never taken.
    Order { id: OrderId, sha256: [u8; 32], json: String },
    /// An order that was taken and released.
    Again { id: OrderId, requester: NodeId },
    /// No order.
    Nothing,
}

/// How much who asks may spend.
#[derive(Clone, Copy)]
pub(crate) enum Lent {
    Line(Line),
    /// So much a day, to all together.
    PerDay(Credits),
}

pub(crate) struct Admit {
    pub(crate) behind: Behind,
    pub(crate) who: Party,
    /// Of an order that is taken again: what was reserved before counts.
    pub(crate) credits: Credits,
    pub(crate) lent: Lent,
    pub(crate) now: Timestamp,
    pub(crate) ledger: Weak<Open>,
}

impl Work for Admit {
    type Done = Reservation;
    type Refused = AdmitError;
    // A power cut that forgets it ends the request too, and no receipt can have been kept after it.
    const DURABLE: bool = false;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<Reservation, AdmitError>> {
        if books.keeper().never_swept() {
            sweep_again(books, self.now)?;
        }
        let before = match &self.behind {
            Behind::Order { id, sha256, .. } => {
                if self.is_taken(books, id, sha256)? {
                    return Ok(Err(AdmitError::AlreadyTaken));
                }
                None
            }
            Behind::Again { id, requester } => {
                match exchange::of_order(books.conn(), Side::Served, *requester, id)? {
                    None => return Ok(Err(AdmitError::NeverTaken)),
                    Some(before) if before.phase == Phase::Open => {
                        sweep_again(books, self.now)?;
                        exchange::get(books.conn(), before.seq)?
                    }
                    before => before,
                }
            }
            Behind::Nothing => None,
        };
        if before.as_ref().is_some_and(|before| before.phase != Phase::Gone) {
            return Ok(Err(AdmitError::NotReleased));
        }
        let credits = before.as_ref().map_or(self.credits, |before| Credits::saturating(before.reserved));
        let drawn = match self.decide(books, credits)? {
            Ok(drawn) => drawn,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let conn = books.conn();
        let owner = match books.keeper().instance(conn)? {
            Ok(owner) => owner,
            Err(error) => return Ok(Err(AdmitError::Lock(Arc::new(error)))),
        };
        let seq = self.reserve(books, before.as_ref(), credits, drawn, owner)?;
        Ok(Ok(Reservation { seq, credits, at: self.now, ledger: self.ledger.clone(), held: false }))
    }

    fn committed(reservation: &mut Reservation) {
        reservation.held = true;
    }
}

impl Admit {
    fn is_taken(&self, books: &Append<'_>, id: &OrderId, sha256: &[u8; 32]) -> rusqlite::Result<bool> {
        let conn = books.conn();
        let by_id = match self.who {
            Party::Node(requester) => exchange::of_order(conn, Side::Served, requester, id)?,
            Party::Believed(_) | Party::Anonymous => None,
        };
        // The same order under another id would be another order: its hash says so.
        Ok(by_id.is_some() || exchange::of_sha256(conn, Side::Served, sha256)?.is_some())
    }

    /// What is drawn from the pool. Nobody is refused for what a dead process holds.
    fn decide(
        &self,
        books: &mut Append<'_>,
        credits: Credits,
    ) -> rusqlite::Result<Result<Option<u64>, Refusal>> {
        if let Some(node) = self.who.node().map(Party::Node).filter(|node| *node != self.who) {
            // Whoever is blocked is so by whatever name it comes.
            if books.standing(node)?.blocked {
                return Ok(Err(Refusal::Blocked));
            }
        }
        match self.decide_once(books, credits)? {
            Err(_) if sweep_again(books, self.now)? => self.decide_once(books, credits),
            decided => Ok(decided),
        }
    }

    fn decide_once(
        &self,
        books: &mut Append<'_>,
        credits: Credits,
    ) -> rusqlite::Result<Result<Option<u64>, Refusal>> {
        let drawn = books.drawn(Pool::of(self.who), day_of(self.now))?;
        let standing = books.standing(self.who)?;
        let ordered = !matches!(self.behind, Behind::Nothing);
        Ok(match self.lent {
            Lent::PerDay(per_day) => decide_anonymous(credits, per_day, drawn),
            Lent::Line(line) => decide(credits, line, &standing, drawn, ordered),
        })
    }

    fn reserve(
        &self,
        books: &mut Append<'_>,
        before: Option<&Exchange>,
        credits: Credits,
        drawn: Option<u64>,
        owner: i64,
    ) -> rusqlite::Result<u64> {
        let (pool, day) = drawn.map_or((0, 0), |pool| (pool, day_of(self.now)));
        let reserved = credits.get();
        let step = |kind| Step { reserved, pool, day, ..Step::new(kind, self.now, self.who) };
        if let Some(Exchange { seq, .. }) = before {
            let changed = books.record(&Step { about: *seq, ..step(Kind::Resumed) })?;
            exchange::resume(books.conn(), *seq, (pool, day), owner, changed)?;
            return Ok(*seq);
        }
        let (kind, order_id, order_sha256, signed) = match &self.behind {
            Behind::Order { id, sha256, json } => (Kind::Taken, Some(*id), Some(*sha256), json.as_str()),
            Behind::Again { .. } | Behind::Nothing => (Kind::TakenUnordered, None, None, ""),
        };
        let seq = books.record(&Step { signed, ..step(kind) })?;
        let (side, phase, who) = (Side::Served, Phase::Open, self.who);
        let open = Exchange {
            seq,
            side,
            who,
            order_id,
            order_sha256,
            phase,
            reserved,
            pool,
            day,
            credits: 0,
            entry: 0,
            ack: 0,
        };
        open.insert(books.conn(), owner, self.now)?;
        Ok(seq)
    }
}
