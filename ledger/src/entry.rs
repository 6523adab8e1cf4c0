//! What one row of the ledger is to those outside.

use protocol::Timestamp;
use serde::Serialize;

/// How a receipt came to be in this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// We worked, and signed it.
    Served,
    /// A worker gave it to us for work that our gateway asked for.
    Received,
    /// Read from a file. Nothing says that we took part.
    Imported,
}

impl Origin {
    /// As shown to people and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Served => "served",
            Origin::Received => "received",
            Origin::Imported => "imported",
        }
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            Origin::Served => 0,
            Origin::Received => 1,
            Origin::Imported => 2,
        }
    }

    pub(crate) const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Origin::Served),
            1 => Some(Origin::Received),
            2 => Some(Origin::Imported),
            _ => None,
        }
    }
}

/// What became of a receipt that was posted. Either way it is durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is kept as entry `seq`.
    New {
        /// Its place in the ledger, from 1.
        seq: u64,
    },
    /// The identical receipt was kept before, as entry `seq`; nothing was changed.
    Already {
        /// Its place in the ledger, from 1.
        seq: u64,
    },
}

impl Posted {
    /// The place of the receipt in the ledger.
    pub const fn seq(self) -> u64 {
        match self {
            Posted::New { seq } | Posted::Already { seq } => seq,
        }
    }

    /// Whether the receipt was not there before.
    pub const fn is_new(self) -> bool {
        matches!(self, Posted::New { .. })
    }
}

/// A kept receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the ledger, from 1.
    pub seq: u64,
    /// `{"receipt":…,"signature":"…"}` in canonical form.
    pub signed: String,
    /// How it came here.
    pub origin: Origin,
    /// When it was posted, by our clock.
    pub posted_at: Timestamp,
    /// How far it is agreed on.
    pub state: State,
}

/// How far both sides of a receipt agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No order stands behind it, so its worker alone has signed.
    V1,
    /// Its order is here, its acknowledgement is not.
    Claimed,
    /// Order, receipt and ok; or its worker asks for nothing any more.
    Settled,
    /// The requester says no.
    Disputed,
}

impl State {
    /// As shown to people and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::V1 => "v1",
            State::Claimed => "claimed",
            State::Settled => "settled",
            State::Disputed => "disputed",
        }
    }
}
