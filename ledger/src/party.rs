//! Whose account something goes to.

use protocol::NodeId;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use serde::{Serialize, Serializer};
use std::fmt;

/// Who has an account of credit here.
///
/// In the tables: the node's 32 bytes, the same with a 1 behind them, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A node that signs what it asks for, or whose word the owner takes (`version1 = true`).
    Node(NodeId),
    /// A node that a header names and nothing proves. What is asked in its name never touches the
    /// account of the node itself.
    Believed(NodeId),
    /// Whoever does not say who asks, all together.
    Anonymous,
}

const UNPROVEN: u8 = 1;

impl Party {
    /// The node, if one is named.
    pub const fn node(self) -> Option<NodeId> {
        match self {
            Party::Node(node) | Party::Believed(node) => Some(node),
            Party::Anonymous => None,
        }
    }

    /// As it stands in the tables.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Party::Node(node) => node.as_bytes().to_vec(),
            Party::Believed(node) => [node.as_bytes().as_slice(), &[UNPROVEN]].concat(),
            Party::Anonymous => Vec::new(),
        }
    }

    /// The reverse of [`Party::to_bytes`]; `None` for bytes that it never makes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => Some(Party::Anonymous),
            [node @ .., UNPROVEN] if node.len() == 32 => {
                Some(Party::Believed(NodeId::from_bytes(node.try_into().ok()?)))
            }
            node => Some(Party::Node(NodeId::from_bytes(node.try_into().ok()?))),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Node(node) => node.fmt(f),
            Party::Believed(node) => write!(f, "{node} (unproven)"),
            Party::Anonymous => f.write_str("anonymous"),
        }
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for Party {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Party::Node(node) => ToSqlOutput::Borrowed(ValueRef::Blob(node.as_bytes())),
            party => ToSqlOutput::Owned(Value::Blob(party.to_bytes())),
        })
    }
}

impl FromSql for Party {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Party::from_bytes(value.as_blob()?).ok_or(FromSqlError::InvalidType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_read_back_as_it_was_written() {
        let node = NodeId::from_bytes([UNPROVEN; 32]);
        for party in [Party::Node(node), Party::Believed(node), Party::Anonymous] {
            assert_eq!(Party::from_bytes(&party.to_bytes()), Some(party));
        }
        assert_eq!(Party::from_bytes(&[UNPROVEN; 31]), None);
        assert_eq!(Party::from_bytes(&[2; 33]), None);
    }
}
