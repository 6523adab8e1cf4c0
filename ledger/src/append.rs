//! One transaction that appends: SQL only, no thread, no clock.
//!
//! It begins by reading the head of the chain, since another process may have appended meanwhile,
//! and ends by adding to the accounts what its entries changed.

use crate::{
    balance::{Account, Balances},
    column::{integer, key_of, natural},
    entry::{Origin, Posted},
};
use protocol::{NodeId, Receipt, Timestamp, Verified, limits::STATEMENT_BYTES_MAX, receipt::Nonce};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What the first entry is chained to.
pub(crate) const GENESIS: [u8; 32] = [0; 32];

const HEAD: &str = "SELECT seq, chain FROM entry ORDER BY seq DESC LIMIT 1";
const INSERT: &str = "INSERT INTO entry (seq, chain, worker, requester, nonce, job_id, model, input_tokens, \
    output_tokens, started_at, completed_at, origin, posted_at, credits, signed) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
    ON CONFLICT (worker, nonce) DO NOTHING";
const FIND: &str = "SELECT seq, signed = ?3 FROM entry WHERE worker = ?1 AND nonce = ?2";
/// Stops at the largest integer as the fold does: a sum beyond it would be no integer in SQLite.
const ADD_TO_ACCOUNT: &str = "INSERT INTO account (key, earned, spent, receipts) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (key) DO UPDATE SET \
    earned = iif(earned > 9223372036854775807 - excluded.earned, 9223372036854775807, earned + excluded.earned), \
    spent = iif(spent > 9223372036854775807 - excluded.spent, 9223372036854775807, spent + excluded.spent), \
    receipts = receipts + excluded.receipts";
const ADD_TO_TOTALS: &str = "INSERT INTO totals (one, earned, spent, receipts) VALUES (1, ?1, ?2, ?3) \
    ON CONFLICT (one) DO UPDATE SET \
    earned = iif(earned > 9223372036854775807 - excluded.earned, 9223372036854775807, earned + excluded.earned), \
    spent = iif(spent > 9223372036854775807 - excluded.spent, 9223372036854775807, spent + excluded.spent), \
    receipts = receipts + excluded.receipts";

/// Why a receipt was not kept. Nothing of it is in the ledger.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostError {
    /// The worker has signed another receipt with this nonce, and that one is kept.
    #[error("worker {} used the nonce {nonce:?} before, for the receipt at entry {seq}: refused", worker.short())]
    NonceReused {
        /// Who signed both.
        worker: NodeId,
        /// What both carry.
        nonce: Nonce,
        /// Where the other one is.
        seq: u64,
    },
    /// It could not be read back: a longer statement is refused by everyone.
    #[error("the receipt is {bytes} bytes long and at most {STATEMENT_BYTES_MAX} are kept")]
    TooLong {
        /// Its length as canonical JSON.
        bytes: usize,
    },
    /// There is no room on the disk.
    #[error("the disk of the ledger is full, nothing was kept: free some space and post again")]
    DiskFull(#[source] Arc<rusqlite::Error>),
    /// Another process kept the ledger locked for longer than the busy timeout.
    #[error("another process keeps the ledger locked, nothing was kept: post again")]
    Locked(#[source] Arc<rusqlite::Error>),
    /// Anything else that SQLite says.
    #[error("the ledger cannot be written, nothing was kept: `lobstah receipts audit` says if it is damaged")]
    Store(#[source] Arc<rusqlite::Error>),
    /// The ledger was closed before the receipt's turn.
    #[error("the ledger is closed")]
    Closed,
}

impl From<rusqlite::Error> for PostError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let error = Arc::new(error);
        match code {
            Some(ErrorCode::DiskFull) => Self::DiskFull(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error),
            _ => Self::Store(error),
        }
    }
}

/// What became of one receipt of a transaction; true only once that is committed.
pub(crate) type Outcome = Result<Posted, PostError>;

/// A receipt on its way into the ledger. Made by the poster, so that the writer's thread is spared.
pub(crate) struct Item {
    receipt: Verified<Receipt>,
    json: String,
    origin: Origin,
    posted_at: Timestamp,
    credits: u64,
}

impl Item {
    /// It counts for its tokens, and for no more than `credits_max`.
    pub(crate) fn new(
        receipt: Verified<Receipt>,
        credits_max: u64,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, PostError> {
        let json = receipt.to_json();
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(PostError::TooLong { bytes: json.len() });
        }
        let credits = receipt.usage.total().min(credits_max);
        Ok(Self { receipt, json, origin, posted_at: now, credits })
    }
}

/// A transaction that is open. Dropped without [`Append::commit`] it leaves nothing behind.
pub(crate) struct Append<'c> {
    // Before `tx`: a statement must be reset when the transaction is rolled back.
    insert: CachedStatement<'c>,
    tx: Transaction<'c>,
    conn: &'c Connection,
    seq: u64,
    chain: [u8; 32],
    changes: Balances,
}

impl<'c> Append<'c> {
    /// Takes the write lock and reads the head of the chain.
    pub(crate) fn begin(conn: &'c Connection) -> rusqlite::Result<Self> {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let head =
            conn.prepare_cached(HEAD)?.query_row([], |row| Ok((natural(row, 0)?, row.get(1)?))).optional()?;
        let (seq, chain) = head.unwrap_or((0, GENESIS));
        let insert = conn.prepare_cached(INSERT)?;
        Ok(Self { insert, tx, conn, seq, chain, changes: Balances::default() })
    }

    /// Appends one receipt. The outer error ends the whole transaction, the inner one concerns this
    /// receipt alone.
    pub(crate) fn append(&mut self, item: &Item) -> rusqlite::Result<Outcome> {
        let ours =
            Ours { origin: item.origin.code(), posted_at: item.posted_at.as_millis(), credits: item.credits };
        let chain = link(&self.chain, ours, item.json.as_bytes());
        match self.insert(item, &chain) {
            Ok(0) => Ok(self.find(item)?),
            Ok(_) => {
                self.seq += 1;
                self.chain = chain;
                self.changes.add(item.receipt.worker, item.receipt.requester, item.credits);
                Ok(Ok(Posted::New { seq: self.seq }))
            }
            // Found out before anything was written, so the others are not concerned.
            Err(error) if is_of_one_row(&error) && !self.conn.is_autocommit() => Ok(Err(error.into())),
            Err(error) => Err(error),
        }
    }

    /// Makes everything durable. Gives the number of receipts that were new.
    pub(crate) fn commit(self) -> rusqlite::Result<u64> {
        let Self { insert, tx, conn, changes, .. } = self;
        drop(insert);
        if changes.totals.receipts > 0 {
            add_to_accounts(conn, &changes)?;
        }
        tx.commit()?;
        Ok(changes.totals.receipts)
    }

    fn insert(&mut self, item: &Item, chain: &[u8; 32]) -> rusqlite::Result<usize> {
        let receipt = &*item.receipt;
        self.insert.execute(params![
            integer(self.seq + 1),
            chain,
            receipt.worker.as_bytes(),
            key_of(&receipt.requester),
            receipt.nonce.0,
            receipt.job_id,
            receipt.model.as_str(),
            integer(receipt.usage.input_tokens),
            integer(receipt.usage.output_tokens),
            integer(receipt.started_at.as_millis()),
            integer(receipt.completed_at.as_millis()),
            item.origin.code(),
            integer(item.posted_at.as_millis()),
            integer(item.credits),
            item.json,
        ])
    }

    /// The entry that has the same worker and nonce.
    fn find(&self, item: &Item) -> rusqlite::Result<Outcome> {
        let Receipt { worker, nonce, .. } = *item.receipt;
        let mut find = self.conn.prepare_cached(FIND)?;
        let found = find.query_row(params![worker.as_bytes(), nonce.0, item.json], |row| {
            Ok((natural(row, 0)?, row.get::<_, bool>(1)?))
        });
        Ok(match found {
            Ok((seq, true)) => Ok(Posted::Already { seq }),
            Ok((seq, false)) => Err(PostError::NonceReused { worker, nonce, seq }),
            // The index names an entry that is gone: the damage is this receipt's alone.
            Err(error @ rusqlite::Error::QueryReturnedNoRows) => Err(error.into()),
            Err(error) => return Err(error),
        })
    }
}

/// What an entry says besides the receipt. No signature covers it, so the chain does.
#[derive(Clone, Copy)]
pub(crate) struct Ours {
    pub(crate) origin: i64,
    /// In Unix milliseconds.
    pub(crate) posted_at: u64,
    pub(crate) credits: u64,
}

/// The chain's value at an entry.
pub(crate) fn link(previous: &[u8; 32], ours: Ours, signed: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(previous)
        .chain_update(ours.origin.to_be_bytes())
        .chain_update(ours.posted_at.to_be_bytes())
        .chain_update(ours.credits.to_be_bytes())
        .chain_update(signed)
        .finalize()
        .into()
}

fn add_to_accounts(conn: &Connection, changes: &Balances) -> rusqlite::Result<()> {
    let mut add = conn.prepare_cached(ADD_TO_ACCOUNT)?;
    for (who, account) in &changes.accounts {
        let Account { earned, spent, receipts } = *account;
        add.execute(params![key_of(who), integer(earned), integer(spent), integer(receipts)])?;
    }
    let totals = changes.totals;
    conn.prepare_cached(ADD_TO_TOTALS)?.execute(params![
        integer(totals.earned),
        integer(totals.spent),
        integer(totals.receipts)
    ])?;
    Ok(())
}

fn is_of_one_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}
