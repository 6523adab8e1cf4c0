//! How values of ours stand in the tables, and back.

use protocol::{NodeId, Requester};
use rusqlite::{Error, Result, Row};

/// The 32 bytes of a node, or nothing for `anonymous`.
pub(crate) fn key_of(who: &Requester) -> &[u8] {
    match who {
        Requester::Node(node) => node.as_bytes(),
        Requester::Anonymous => &[],
    }
}

/// The reverse of [`key_of`]; `None` for bytes that it never makes.
pub(crate) fn key_from(bytes: &[u8]) -> Option<Requester> {
    match bytes {
        [] => Some(Requester::Anonymous),
        bytes => Some(Requester::Node(NodeId::from_bytes(bytes.try_into().ok()?))),
    }
}

/// SQLite's integers are signed; the wire allows nothing beyond 2^53.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative, unless the row is damaged.
pub(crate) fn natural(row: &Row<'_>, place: usize) -> Result<u64> {
    let value: i64 = row.get(place)?;
    u64::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(place, value))
}
