//! One transaction that appends: SQL only, no thread, no clock.
//!
//! It begins by reading the heads of both chains, since another process may have appended meanwhile,
//! and ends by writing the sums that its rows changed.

pub(crate) mod sums;

use crate::{
    balance::{Account, Balances},
    column::{integer, key_of, natural},
    entry::Posted,
    head::Heads,
    instance::Keeper,
    journal::{self, Step},
    party::Party,
    post::{Item, PostError},
    standing::{Drawn, Pool, Standing},
    unwritten::Unwritten,
};
use protocol::{NodeId, Receipt};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use sha2::{Digest, Sha256};
use sums::Sums;

/// What the first row of a chain is chained to.
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

/// The last row of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: [u8; 32],
}

impl Head {
    fn read(conn: &Connection, sql: &str) -> rusqlite::Result<Self> {
        let head = conn
            .prepare_cached(sql)?
            .query_row([], |row| Ok(Self { seq: natural(row, 0)?, chain: row.get(1)? }));
        Ok(head.optional()?.unwrap_or(Self { seq: 0, chain: GENESIS }))
    }
}

/// Where the chains end.
pub(crate) fn heads(conn: &Connection) -> rusqlite::Result<Heads> {
    Ok(Heads { entries: Head::read(conn, HEAD)?, journal: Head::read(conn, journal::HEAD)? })
}

/// What a transaction has written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    /// Receipts that were new.
    pub(crate) receipts: u64,
    /// Rows of either chain.
    pub(crate) rows: u64,
    /// Where the chains end now.
    pub(crate) heads: Heads,
}

/// A transaction that is open. Dropped without [`Append::commit`] it leaves nothing behind.
pub(crate) struct Append<'c> {
    // Before `tx`: a statement must be reset when the transaction is rolled back.
    insert: CachedStatement<'c>,
    tx: Transaction<'c>,
    conn: &'c Connection,
    keeper: &'c mut Keeper,
    entries: Head,
    journal: Head,
    rows: u64,
    changes: Balances,
    sums: Sums,
}

impl<'c> Append<'c> {
    /// Takes the write lock and reads the heads of the chains.
    pub(crate) fn begin(conn: &'c Connection, keeper: &'c mut Keeper) -> rusqlite::Result<Self> {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let Heads { entries, journal } = heads(conn)?;
        let insert = conn.prepare_cached(INSERT)?;
        let (changes, sums) = (Balances::default(), Sums::default());
        Ok(Self { insert, tx, conn, keeper, entries, journal, rows: 0, changes, sums })
    }

    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    pub(crate) fn keeper(&mut self) -> &mut Keeper {
        self.keeper
    }

    /// Whose ledger it is.
    pub(crate) fn me(&self) -> NodeId {
        self.keeper.me()
    }

    /// A party's standing, after what this transaction did so far.
    pub(crate) fn standing(&mut self, who: Party) -> rusqlite::Result<Standing> {
        self.sums.standing(self.conn, who)
    }

    /// What was drawn from a pool on a day, the same way.
    pub(crate) fn drawn(&mut self, pool: Pool, day: u64) -> rusqlite::Result<Drawn> {
        self.sums.drawn(self.conn, pool, day)
    }

    /// Appends a row to the journal, and adds it to the sums: the only way to change them. Gives its
    /// place.
    pub(crate) fn record(&mut self, step: &Step<'_>) -> rusqlite::Result<u64> {
        self.sums.prepare(self.conn, step)?;
        let (numbers, who) = (step.numbers(), step.who.to_bytes());
        let chain = journal::link(&self.journal.chain, numbers, &who, step.signed.as_bytes());
        let seq = self.journal.seq + 1;
        journal::insert(self.conn, seq, &chain, step)?;
        self.journal = Head { seq, chain };
        self.rows += 1;
        self.sums.apply(step);
        Ok(seq)
    }

    /// Appends one receipt. The outer error ends the whole transaction, the inner one concerns this
    /// receipt alone, and is found out before anything was written for it.
    pub(crate) fn post(&mut self, item: &Item) -> rusqlite::Result<Result<Posted, PostError>> {
        let ours =
            Ours { origin: item.origin.code(), posted_at: item.posted_at.as_millis(), credits: item.credits };
        let chain = link(&self.entries.chain, ours, item.json.as_bytes());
        match self.insert(item, &chain) {
            Ok(0) => Ok(self.find(item)?),
            Ok(_) => {
                self.entries = Head { seq: self.entries.seq + 1, chain };
                self.rows += 1;
                self.changes.add(item.receipt.worker, item.receipt.requester, item.credits);
                Ok(Ok(Posted::New { seq: self.entries.seq }))
            }
            Err(error) if is_of_one_row(&error) && !self.conn.is_autocommit() => {
                Ok(Err(Unwritten::from(error).into()))
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps all of it; durable or not as the connection is set.
    pub(crate) fn commit(self) -> rusqlite::Result<Committed> {
        let Self { insert, tx, conn, keeper, entries, journal, rows, changes, sums } = self;
        drop(insert);
        let receipts = changes.totals.receipts;
        if receipts > 0 {
            add_to_accounts(conn, &changes)?;
        }
        sums.store(conn)?;
        tx.commit()?;
        keeper.committed();
        Ok(Committed { receipts, rows, heads: Heads { entries, journal } })
    }

    fn insert(&mut self, item: &Item, chain: &[u8; 32]) -> rusqlite::Result<usize> {
        let receipt: &Receipt = &item.receipt;
        self.insert.execute(params![
            integer(self.entries.seq + 1),
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
    fn find(&self, item: &Item) -> rusqlite::Result<Result<Posted, PostError>> {
        let Receipt { worker, nonce, .. } = *item.receipt;
        let mut find = self.conn.prepare_cached(FIND)?;
        let found = find.query_row(params![worker.as_bytes(), nonce.0, item.json], |row| {
            Ok((natural(row, 0)?, row.get::<_, bool>(1)?))
        });
        Ok(match found {
            Ok((seq, true)) => Ok(Posted::Already { seq }),
            Ok((seq, false)) => Err(PostError::NonceReused { worker, nonce, seq }),
            // The index names an entry that is gone: the damage is this receipt's alone.
            Err(error @ rusqlite::Error::QueryReturnedNoRows) => Err(Unwritten::from(error).into()),
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

/// Whether it is about one row's values, so that others need not be concerned.
pub(crate) fn is_of_one_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}
