//! The books of a node.
//!
//! A receipt that was reported as posted survives a power cut. Entries are only ever appended, each
//! chained to the one before; accounts and totals are kept in the same transaction and can be
//! recomputed from the entries at any time. Several processes may have one ledger open.
//!
//! Begin at [`Ledger`]. One thread owns the connection that writes ([`Ledger::post`] hands it work
//! and waits), another owns one that reads. [`Reader`] is the read side for commands, which may
//! block. Who may spend how much is decided elsewhere.
//!
//! **Invariants:** a balance equals the fold of the entries; an entry is never changed; only a
//! [`protocol::Verified`] receipt gets in; the wall clock is a parameter.
#![warn(missing_docs)]

mod actor;
mod append;
pub mod audit;
mod backup;
mod balance;
mod block_on;
mod column;
mod connection;
mod entry;
mod handle;
pub mod jsonl;
pub mod limits;
mod query;
mod scan;
mod schema;
mod writer;

pub use append::PostError;
pub use backup::BackupError;
pub use balance::{Account, Balances, Totals};
pub use connection::OpenError;
pub use entry::{Entry, Origin, Posted};
pub use handle::Ledger;
pub use query::{QueryError, Reader};
pub use writer::Written;
