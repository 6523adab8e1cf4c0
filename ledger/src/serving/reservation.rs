//! Credits that are held for one request while it runs.

use crate::handle::Open;
use protocol::{Credits, Timestamp};
use std::{fmt, sync::Weak};

/// Credits that are held for one request. Ends in [`crate::Ledger::claim`] or
/// [`crate::Ledger::release`]; dropped it is released, so that none is forgotten on the way.
pub struct Reservation {
    pub(super) seq: u64,
    pub(super) credits: Credits,
    pub(super) at: Timestamp,
    pub(super) ledger: Weak<Open>,
    /// The transaction that made it is committed, and nothing has ended it.
    pub(super) held: bool,
}

impl Reservation {
    /// The most that its receipt may charge.
    pub const fn credits(&self) -> Credits {
        self.credits
    }

    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    /// It has been ended.
    pub(crate) fn end(mut self) {
        self.held = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.upgrade().filter(|_| self.held) {
            ledger.abandon(self.seq, self.at);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("seq", &self.seq).field("credits", &self.credits).finish()
    }
}
