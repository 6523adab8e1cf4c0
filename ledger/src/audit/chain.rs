//! Whether a row follows from the one before it.

use crate::append::GENESIS;

/// What was met last of a chain.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    before: Before,
}

#[derive(Clone, Copy)]
enum Before {
    /// Its number, and the chain's value there.
    Row(i64, [u8; 32]),
    /// Its part of the file could not be read.
    Unreadable,
}

/// Where a row stands.
pub(super) enum Place {
    /// It follows from the one before it, or nobody can tell.
    Right,
    /// It does not.
    Broken,
    /// Rows of these numbers should stand between the two.
    After { from: i64, to: i64 },
}

impl Default for Chain {
    fn default() -> Self {
        Self { before: Before::Row(0, GENESIS) }
    }
}

impl Chain {
    /// Compares with the value that is kept before it, not with a recomputed one: so each break is
    /// named, and not everything behind the first.
    pub(super) fn next(
        &mut self,
        seq: i64,
        kept: &[u8],
        follows: impl FnOnce(&[u8; 32]) -> [u8; 32],
    ) -> Place {
        let place = match self.before {
            Before::Unreadable => Place::Right,
            Before::Row(before, value) if seq == before + 1 => {
                if kept == follows(&value) {
                    Place::Right
                } else {
                    Place::Broken
                }
            }
            Before::Row(before, _) if seq > before => Place::After { from: before + 1, to: seq - 1 },
            // Before the first: nothing that we write.
            Before::Row(..) => return Place::Broken,
        };
        self.before = Before::Row(seq, kept.try_into().unwrap_or(GENESIS));
        place
    }

    /// A damaged place follows.
    pub(super) fn interrupted(&mut self) {
        self.before = Before::Unreadable;
    }

    /// The value at the last row; that of the beginning if there is none.
    pub(super) fn head(&self) -> Option<[u8; 32]> {
        match self.before {
            Before::Row(_, value) => Some(value),
            Before::Unreadable => None,
        }
    }
}
