//! The books of a node.
//!
//! A receipt that was reported as posted survives a power cut. Entries are only ever appended, each
//! chained to the one before; accounts and totals are kept in the same transaction and can be
//! recomputed from the entries at any time. Beside them stands the journal, chained the same way: what
//! was reserved, claimed, acknowledged, paid and decided, of which all that is said about credit is the
//! fold. Several processes may have one ledger open.
//!
//! Begin at [`Ledger`]. One thread owns the connection that writes (its methods hand it work and wait),
//! another owns one that reads. [`Reader`] is the read side for commands, which may block.
//!
//! A worker's exchange is [`Ledger::admit`], [`Ledger::claim`] and [`Ledger::take_acks`]; a gateway's is
//! [`Ledger::place`], [`Ledger::post_received`] and [`Ledger::delivered`].
//!
//! **Invariants:** a balance equals the fold of the entries, a standing that of the journal; a row of
//! either is never changed; only [`protocol::Verified`] statements get in; no order is taken twice; no
//! more is reserved than is available; the wall clock is a parameter.
#![warn(missing_docs)]

mod actor;
mod append;
mod asking;
pub mod audit;
mod backup;
mod balance;
mod block_on;
mod column;
mod connection;
mod credit;
mod entry;
mod exchange;
mod handle;
mod head;
mod imported;
mod instance;
mod journal;
pub mod jsonl;
pub mod limits;
mod owner;
mod party;
mod post;
mod query;
mod scan;
mod schema;
mod serving;
mod settlement;
mod standing;
mod unwritten;
mod work;
mod writer;

pub use asking::{awaited::Awaited, outbox::AckBatch, place::PlaceError, receive::ReceiveError};
pub use backup::BackupError;
pub use balance::{Account, Balances, Totals};
pub use connection::OpenError;
pub use credit::{Line, Refusal, claims_allowed};
pub use entry::{Entry, Origin, Posted, State};
pub use handle::{Ledger, Unordered};
pub use owner::settle::{SettleError, Settled};
pub use party::Party;
pub use post::PostError;
pub use query::{Papers, QueryError, Reader};
pub use serving::{
    acks::{AckError, Collected},
    admit::AdmitError,
    claim::ClaimError,
    reservation::Reservation,
};
pub use settlement::{ByCreditor, ByDebtor, Settlement, SettlementHalf, SettlementKind};
pub use standing::{Drawn, Pool, Standing};
pub use unwritten::Unwritten;
pub use writer::Written;
