//! What an audit can find, as data and in words.

use crate::{
    balance::{Account, Totals},
    jsonl::shortened,
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

    pub(super) fn nonces_unchecked(detail: impl fmt::Display) -> Self {
        Self::NoncesUnchecked { detail: shortened(detail.to_string()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileDamaged { detail } => write!(f, "the file is damaged: {detail}"),
            Self::Unreadable { from, to } => {
                write!(f, "a damaged place was stepped over: entries {from} to {to}, as far as they existed")
            }
            Self::RowsMissing { from, to } => write!(f, "entries {from} to {to} are missing"),
            Self::NewestMissing { last, counted } => write!(
                f,
                "{counted} receipts were counted but the last entry is {last}: the newest are missing, or the totals were changed"
            ),
            Self::ChainBroken { seq } => {
                write!(f, "the chain breaks at entry {seq}: it, or the one before it, was changed")
            }
            Self::BadReceipt { seq, reason } => write!(f, "entry {seq} holds no good receipt: {reason}"),
            Self::ColumnDiffers { seq, column } => {
                write!(f, "entry {seq}: column `{column}` is not what the receipt says")
            }
            Self::NonceTwice { first, last, times } => {
                write!(f, "{times} entries from {first} to {last} have the same worker and nonce")
            }
            Self::NoncesUnchecked { detail } => write!(f, "nonces could not be compared: {detail}"),
            Self::AccountDiffers { key, kept, replayed } => {
                write!(
                    f,
                    "account {key}: kept are {}, the entries add up to {}",
                    words(kept),
                    words(replayed)
                )
            }
            Self::AccountUnreadable { key } => write!(f, "the account with key {key:?} makes no sense"),
            Self::AccountsUnreadable { detail } => write!(f, "the accounts cannot be read: {detail}"),
            Self::TotalsDiffer { kept, replayed } => {
                let account = |t: &Totals| Account { earned: t.earned, spent: t.spent, receipts: t.receipts };
                let (kept, replayed) = (account(kept), account(replayed));
                write!(f, "totals: kept are {}, the entries add up to {}", words(&kept), words(&replayed))
            }
        }
    }
}

fn words(account: &Account) -> String {
    let Account { earned, spent, receipts } = account;
    format!("{earned} earned, {spent} spent, {receipts} receipts")
}
