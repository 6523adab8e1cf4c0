//! Whom the owner refuses, and whom it lends more or less than the settings say.

use crate::{
    append::Append,
    journal::{Kind, Step},
    party::Party,
    unwritten::Unwritten,
    work::Work,
};
use protocol::{Credits, NodeId, Timestamp};

#[derive(Clone, Copy)]
pub(crate) enum Decision {
    Block,
    Unblock,
    Lend(Credits),
    LendNoMore,
}

/// Running nodes go by it from their next admission on.
pub(crate) struct Decide {
    pub(crate) node: NodeId,
    pub(crate) decision: Decision,
    pub(crate) now: Timestamp,
}

impl Work for Decide {
    type Done = ();
    type Refused = Unwritten;
    const DURABLE: bool = true;

    fn run(&self, books: &mut Append<'_>) -> rusqlite::Result<Result<(), Unwritten>> {
        let who = Party::Node(self.node);
        let before = books.standing(who)?;
        let (kind, credits, already) = match self.decision {
            Decision::Block => (Kind::Blocked, 0, before.blocked),
            Decision::Unblock => (Kind::Unblocked, 0, !before.blocked),
            Decision::Lend(limit) => (Kind::Lent, limit.get(), before.lent == Some(limit.get())),
            Decision::LendNoMore => (Kind::LentNoMore, 0, before.lent.is_none()),
        };
        if !already {
            books.record(&Step { credits, ..Step::new(kind, self.now, who) })?;
        }
        Ok(Ok(()))
    }
}
