//! The worker's queue: jobs that others, or this node's owner, gave it.
//!
//! The owner's own work first; then round-robin between requesters, by who was served longest ago; within
//! one requester the oldest first. A job that ran when its process died is queued again, with the order
//! that it came with; so is one that could not be run now ([`Lent::put_back`]). Its result is stored before its receipt is claimed in the ledger, and marked when
//! it was: what stands between is found by [`Lent::unclaimed`] and claimed again, which the ledger takes as
//! the same.

mod ask;
mod back;
mod end;
mod next;
pub(crate) mod schema;
mod submit;
mod sweep;

pub use ask::{LentCounts, LentView, Queued, Unclaimed};
pub use back::PutBack;
pub use end::{CancelLentError, LentCancel, LentEnd, NotRunning};
pub use submit::{LentLimits, LentOrder, NewLent, SubmitError, Whose};
pub(crate) use sweep::sweep;

use crate::{endpoint::Endpoint, handle::Work};
use protocol::{ModelName, Requester, Timestamp};

/// The queue; see the module.
#[derive(Clone, Copy)]
pub struct Lent<'w> {
    work: &'w Work,
}

impl Work {
    /// What others lent us to do.
    pub fn lent(&self) -> Lent<'_> {
        Lent { work: self }
    }
}

/// A job that is to be run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LentJob {
    /// Its name; its order's id where it has one.
    pub id: String,
    /// Who asked.
    pub whose: Whose,
    /// The signed order, as it came.
    pub order: Option<String>,
    /// What completes later is nobody's debt.
    pub answer_by: Option<Timestamp>,
    /// What it asks for.
    pub endpoint: Endpoint,
    /// As asked.
    pub model: ModelName,
    /// The request, byte for byte.
    pub body: Vec<u8>,
    /// How often it was begun, this time included.
    pub attempts: u32,
}

/// Rows hold these; the numbers are never given another meaning.
mod state {
    pub(super) const QUEUED: i64 = 0;
    pub(super) const RUNNING: i64 = 1;
    pub(super) const DONE: i64 = 2;
    pub(super) const FAILED: i64 = 3;
}

/// What is known of a job's receipt.
mod claim {
    pub(super) const NONE: i64 = 0;
    pub(super) const DUE: i64 = 1;
    pub(super) const MADE: i64 = 2;
}

fn key_of(who: &Requester) -> &[u8] {
    match who {
        Requester::Node(node) => node.as_bytes(),
        Requester::Anonymous => &[],
    }
}

fn key_from(bytes: &[u8]) -> Requester {
    let node = <[u8; 32]>::try_from(bytes).ok();
    node.map_or(Requester::Anonymous, |bytes| Requester::Node(protocol::NodeId::from_bytes(bytes)))
}
