//! One row for each step of credit: what was reserved, claimed, acknowledged, paid, decided.
//!
//! The journal is the truth of which standings and pools are the fold: every row says itself what it
//! moves, so that a fold needs no other row. Like entries, rows are only appended, each chained to the
//! one before.

use crate::{
    column::{integer, natural},
    party::Party,
};
use protocol::Timestamp;
use rusqlite::{Connection, Row, params, types::FromSql};
use sha2::{Digest, Sha256};

pub(crate) const HEAD: &str = "SELECT seq, chain FROM journal ORDER BY seq DESC LIMIT 1";
const INSERT: &str = "INSERT INTO journal (seq, chain, kind, at, who, about, entry, reserved, \
    credits, pool, day, signed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
/// What [`Step::read`] reads, from index 1 on.
pub(crate) const COLUMNS: &str = "signed, chain, kind, at, who, about, entry, reserved, credits, pool, day";
pub(crate) const SIGNED: usize = 1;
pub(crate) const CHAIN: usize = 2;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a row says happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($(#[$doc])* $name = $code,)* }

        impl Kind {
            pub(crate) const fn code(self) -> i64 {
                self as i64
            }

            pub(crate) const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Kind::$name),)* _ => None }
            }
        }
    };
}

// The numbers are in files: a new kind gets a new one.
kinds! {
    // We work.
    /// An order was taken, and its credits reserved. Begins an exchange.
    Taken = 1,
    /// Credits were reserved for a request without an order. Begins an exchange.
    TakenUnordered = 2,
    /// A reservation that had been released was made again, for a job that runs again.
    Resumed = 3,
    /// A reservation was given back: nobody pays.
    Released = 4,
    /// The receipt that answers an order.
    Claimed = 5,
    /// The receipt of a request without an order: nobody can acknowledge it.
    ClaimedUnordered = 6,
    /// The requester's yes to a claim.
    Acknowledged = 7,
    /// The requester disputes a claim.
    Disputed = 8,
    /// The requester's yes to what it had disputed.
    Agreed = 9,
    // We ask.
    /// An order of ours, before it is sent. Begins an exchange.
    Placed = 10,
    /// No receipt will come for it.
    Lost = 11,
    /// One came all the same.
    Found = 12,
    /// The receipt of an order of ours, and our yes.
    ReceivedOk = 13,
    /// The receipt of an order of ours, which we dispute.
    ReceivedDisputed = 14,
    /// A receipt of version 1 for a request of our gateway.
    Owed = 15,
    // Outside of the network.
    /// One side's word on a payment that wants the other's too.
    PaymentProposed = 20,
    /// The other side owes us so much less.
    PaidToMe = 21,
    /// We owe the other side so much less.
    PaidByMe = 22,
    /// We forgave a claim that waited for its acknowledgement.
    ForgaveClaim = 23,
    /// We forgave a claim that was disputed.
    ForgaveDisputed = 24,
    /// We forgave what was settled.
    ForgaveSettled = 25,
    /// The worker forgave what we owed it.
    ForgivenSettled = 26,
    /// The worker forgave what we disputed.
    ForgivenDisputed = 27,
    /// We forgave a sum, of which `reserved` credits were claimed without an order, and the rest settled.
    ForgaveUnordered = 28,
    // The owner's decisions.
    /// Nothing is lent to this node, nothing taken from it.
    Blocked = 30,
    /// That is over.
    Unblocked = 31,
    /// This node's line is so much, whatever the settings say.
    Lent = 32,
    /// The settings decide again.
    LentNoMore = 33,
    // Read from a file; moves nothing.
    /// The order that an imported receipt answers. Begins an exchange between others.
    ImportedOrder = 40,
    /// Its acknowledgement.
    ImportedAck = 41,
    /// Its dispute.
    ImportedDispute = 42,
}

impl Kind {
    /// Whether its row is what later rows of the same exchange are about.
    pub(crate) const fn begins_an_exchange(self) -> bool {
        matches!(self, Kind::Taken | Kind::TakenUnordered | Kind::Placed | Kind::ImportedOrder)
    }
}

/// One row, less its place and chain. Amounts are credits, never negative; the kind says which way
/// they move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'s> {
    pub(crate) kind: Kind,
    /// By our clock.
    pub(crate) at: Timestamp,
    /// The other side.
    pub(crate) who: Party,
    /// The row that began the exchange (or, of a payment, its other half); 0 for none.
    pub(crate) about: u64,
    /// The entry of the receipt; 0 for none.
    pub(crate) entry: u64,
    /// What is reserved, or no longer reserved; of [`Kind::ForgaveUnordered`] what was claimed.
    pub(crate) reserved: u64,
    /// What is charged, settled, disputed, paid, lent.
    pub(crate) credits: u64,
    /// What is taken from the pool of `day`, or given back to it.
    pub(crate) pool: u64,
    /// In days since the epoch, UTC.
    pub(crate) day: u64,
    /// The statement behind it, canonical; empty for none.
    pub(crate) signed: &'s str,
}

impl<'s> Step<'s> {
    /// A row that moves nothing yet.
    pub(crate) const fn new(kind: Kind, at: Timestamp, who: Party) -> Self {
        Self { kind, at, who, about: 0, entry: 0, reserved: 0, credits: 0, pool: 0, day: 0, signed: "" }
    }

    /// The numbers, as they stand in the table.
    pub(crate) fn numbers(&self) -> [i64; 8] {
        let of =
            [self.at.as_millis(), self.about, self.entry, self.reserved, self.credits, self.pool, self.day];
        let [at, about, entry, reserved, credits, pool, day] = of.map(integer);
        [self.kind.code(), at, about, entry, reserved, credits, pool, day]
    }

    /// From the columns of [`COLUMNS`]. An error is a damaged row.
    pub(crate) fn read(row: &'s Row<'_>) -> rusqlite::Result<Self> {
        let kind: i64 = row.get(3)?;
        let kind = Kind::from_code(kind).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, kind))?;
        Ok(Self {
            kind,
            at: Timestamp::from_millis(natural(row, 4)?),
            who: Party::column_result(row.get_ref(5)?)?,
            about: natural(row, 6)?,
            entry: natural(row, 7)?,
            reserved: natural(row, 8)?,
            credits: natural(row, 9)?,
            pool: natural(row, 10)?,
            day: natural(row, 11)?,
            signed: row.get_ref(SIGNED)?.as_str()?,
        })
    }
}

/// The chain's value at a row: over all its columns, each of a fixed length but the last two, of which
/// the first is preceded by its length.
pub(crate) fn link(previous: &[u8; 32], numbers: [i64; 8], who: &[u8], signed: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(previous);
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.update((who.len() as u64).to_be_bytes());
    hash.chain_update(who).chain_update(signed).finalize().into()
}

/// Appends a row whose place and chain its caller has worked out.
pub(crate) fn insert(conn: &Connection, seq: u64, chain: &[u8; 32], step: &Step<'_>) -> rusqlite::Result<()> {
    let [kind, at, about, entry, reserved, credits, pool, day] = step.numbers();
    let Step { who, signed, .. } = step;
    let seq = integer(seq);
    conn.prepare_cached(INSERT)?
        .execute(params![seq, chain, kind, at, who, about, entry, reserved, credits, pool, day, signed])?;
    Ok(())
}

/// The day of the pools that a moment belongs to.
pub(crate) const fn day_of(at: Timestamp) -> u64 {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    at.as_millis() / DAY_MS
}
