//! What an audit can find, as data and in words.

use crate::{
    balance::{Account, Totals},
    jsonl::shortened,
    standing::{Drawn, Pool},
};
use serde::Serialize;
use std::fmt;

/// One thing that is wrong with a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// SQLite finds its own file contradictory.
    FileDamaged {
        /// In its words.
        detail: String,
    },
    /// A part of the file cannot be read; entries of these numbers may have stood there.
    Unreadable {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// Entries of these numbers are not there.
    RowsMissing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// More receipts were counted than there are numbers.
    NewestMissing {
        /// The last entry.
        last: i64,
        /// What the totals say.
        counted: u64,
    },
    /// An entry does not follow from the one before it: one of the two was changed.
    ChainBroken {
        /// Which.
        seq: i64,
    },
    /// What an entry keeps is no receipt, or not in the form that was kept.
    BadReceipt {
        /// Which.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A column says something else than the receipt beside it.
    ColumnDiffers {
        /// Which entry.
        seq: i64,
        /// Which column.
        column: &'static str,
    },
    /// Several entries have the same worker and nonce.
    NonceTwice {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
        /// How many there are.
        times: i64,
    },
    /// Whether a nonce stands twice could not be checked.
    NoncesUnchecked {
        /// In SQLite's words.
        detail: String,
    },
    /// An account is not what the entries add up to.
    AccountDiffers {
        /// Whose.
        key: String,
        /// What is kept.
        kept: Account,
        /// What it should be.
        replayed: Account,
    },
    /// An account's row makes no sense.
    AccountUnreadable {
        /// Its key, as hex.
        key: String,
    },
    /// Accounts and totals could not be read.
    AccountsUnreadable {
        /// In SQLite's words.
        detail: String,
    },
    /// The totals are not what the entries add up to.
    TotalsDiffer {
        /// What is kept.
        kept: Totals,
        /// What it should be.
        replayed: Totals,
    },
    /// A part of the file cannot be read; rows of the journal of these numbers may have stood there.
    JournalUnreadable {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// Rows of the journal of these numbers are not there.
    JournalMissing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// A row of the journal does not follow from the one before it: one of the two was changed.
    JournalBroken {
        /// Which.
        row: i64,
    },
    /// A row of the journal contradicts itself, its statement, or what it refers to.
    BadRow {
        /// Which.
        row: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// Where an exchange stands is not what the journal says of it.
    ExchangeDiffers {
        /// The journal's row that began it.
        row: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// There are more or fewer exchanges than the journal begins.
    ExchangesDiffer {
        /// What is kept.
        kept: u64,
        /// What it should be.
        replayed: u64,
    },
    /// A sum of a standing is not what the journal adds up to.
    StandingDiffers {
        /// Whose.
        party: String,
        /// Which sum.
        sum: &'static str,
        /// What is kept.
        kept: Option<u64>,
        /// What it should be.
        replayed: Option<u64>,
    },
    /// What was drawn from a pool is not what the journal adds up to.
    PoolDiffers {
        /// Which.
        pool: Pool,
        /// In days since the epoch.
        day: u64,
        /// What is kept.
        kept: Drawn,
        /// What it should be.
        replayed: Drawn,
    },
    /// Standings, pools or exchanges could not be read.
    CreditUnreadable {
        /// In SQLite's words.
        detail: String,
    },
    /// It was noted beside the ledger that it reached further.
    NewestLost {
        /// Of which chain: `entry` or `journal`.
        chain: &'static str,
        /// Where it ends.
        last: u64,
        /// Where it had ended.
        noted: u64,
        /// The note, to be removed once its owner knows; empty for the present one.
        note: String,
    },
    /// A row is another than the one that was noted beside the ledger when it was written.
    Rewritten {
        /// Of which chain: `entry` or `journal`.
        chain: &'static str,
        /// Which.
        row: u64,
        /// The note, to be removed once its owner knows; empty for the present one.
        note: String,
    },
}

impl Finding {
    pub(super) fn file(detail: impl fmt::Display) -> Self {
        Self::FileDamaged { detail: shortened(detail.to_string()) }
    }

    pub(super) fn receipt(seq: i64, reason: impl fmt::Display) -> Self {
        Self::BadReceipt { seq, reason: shortened(reason.to_string()) }
    }

    pub(super) fn accounts_unreadable(detail: impl fmt::Display) -> Self {
        Self::AccountsUnreadable { detail: shortened(detail.to_string()) }
    }

    pub(super) fn row(row: i64, reason: impl fmt::Display) -> Self {
        Self::BadRow { row, reason: shortened(reason.to_string()) }
    }

    pub(super) fn exchange(row: i64, reason: impl fmt::Display) -> Self {
        Self::ExchangeDiffers { row, reason: shortened(reason.to_string()) }
    }

    pub(super) fn credit_unreadable(detail: impl fmt::Display) -> Self {
        Self::CreditUnreadable { detail: shortened(detail.to_string()) }
    }

    pub(super) fn nonces_unchecked(detail: impl fmt::Display) -> Self {
        Self::NoncesUnchecked { detail: shortened(detail.to_string()) }
    }
}
