//! What an audit found, for people.

use super::Finding;
use crate::{
    balance::{Account, Totals},
    standing::Drawn,
};
use std::fmt;

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
            credit => in_words_of_credit(credit, f),
        }
    }
}

fn words(account: &Account) -> String {
    let Account { earned, spent, receipts } = account;
    format!("{earned} earned, {spent} spent, {receipts} receipts")
}

fn in_words_of_credit(finding: &Finding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match finding {
        Finding::JournalUnreadable { from, to } => {
            write!(
                f,
                "a damaged place was stepped over: rows {from} to {to} of the journal, as far as they existed"
            )
        }
        Finding::JournalMissing { from, to } => write!(f, "rows {from} to {to} of the journal are missing"),
        Finding::JournalBroken { row } => {
            write!(f, "the journal's chain breaks at row {row}: it, or the one before it, was changed")
        }
        Finding::BadRow { row, reason } => write!(f, "row {row} of the journal makes no sense: {reason}"),
        Finding::ExchangeDiffers { row, reason } => {
            write!(f, "the exchange that row {row} of the journal began: {reason}")
        }
        Finding::ExchangesDiffer { kept, replayed } => {
            write!(f, "{kept} exchanges are kept and the journal begins {replayed}")
        }
        Finding::StandingDiffers { party, sum, kept, replayed } => {
            let [kept, replayed] =
                [kept, replayed].map(|sum| sum.map_or("none".into(), |sum| sum.to_string()));
            write!(f, "standing of {party}: `{sum}` is kept as {kept}, the journal adds up to {replayed}")
        }
        Finding::PoolDiffers { pool, day, kept, replayed } => {
            let words = |drawn: &Drawn| format!("{} credits by {} requests", drawn.credits, drawn.requests);
            let (kept, replayed) = (words(kept), words(replayed));
            write!(
                f,
                "pool of {pool:?}, day {day}: kept as drawn are {kept}, the journal adds up to {replayed}"
            )
        }
        Finding::CreditUnreadable { detail } => write!(f, "the credit tables cannot be read: {detail}"),
        Finding::NewestLost { chain, last, noted, note } => {
            write!(
                f,
                "the ledger ends at {chain} {last} but had reached {noted}: a log was cut, or an older copy put in its place"
            )?;
            remove_in_words(note, f)
        }
        Finding::Rewritten { chain, row, note } => {
            write!(f, "{chain} {row} is another than the one that was written there")?;
            remove_in_words(note, f)
        }
        _ => Ok(()),
    }
}

fn remove_in_words(note: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if note.is_empty() { Ok(()) } else { write!(f, "; remove {note} once you know why") }
}
