//! Taking a member out of a body: what a tool tells us and not the engine.

use super::key;
use crate::{edits::Edits, members};

/// The member stands twice, or in another spelling that an engine might take for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key stands twice or in another case, write it once and in lower case")]
pub struct Ambiguous;

/// A body without a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// All else, byte for byte.
    pub body: Vec<u8>,
    /// The member's value, as it stood there.
    pub value: String,
}

/// Takes the outermost member `name` (in lower case) out of a body; `None` if it has none, or is no JSON
/// object, which is another's to refuse.
pub fn take_member(body: &[u8], name: &str) -> Result<Option<Taken>, Ambiguous> {
    let Ok(text) = std::str::from_utf8(body) else { return Ok(None) };
    let mut found = Vec::new();
    let walked = members::walk(text, |member| {
        if let Some(key) = key::find(&text[member.key.range()], &[name]) {
            found.push((member, key.exact));
        }
    });
    match found.as_slice() {
        _ if walked.is_err() => Ok(None),
        [] => Ok(None),
        [(member, true)] => {
            let mut edits = Edits::default();
            let cut = member.cut_with_comma_before();
            edits.remove(cut.unwrap_or_else(|| member.cut_with_comma_after(body)));
            Ok(Some(Taken { body: edits.apply(body), value: text[member.value.range()].to_owned() }))
        }
        _ => Err(Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &str) -> Option<(String, String)> {
        let taken = take_member(body.as_bytes(), "metadata").unwrap()?;
        Some((String::from_utf8(taken.body).unwrap(), taken.value))
    }

    #[test]
    fn all_else_stays_byte_for_byte() {
        let of = |body: &str, rest: &str, value: &str| {
            assert_eq!(taken(body), Some((rest.to_owned(), value.to_owned())), "{body}");
        };
        of(r#"{"metadata":{"a":"b"} , "t":0.20}"#, r#"{"t":0.20}"#, r#"{"a":"b"}"#);
        of(r#"{"t":0.20, "metadata" : null}"#, r#"{"t":0.20}"#, "null");
        of(r#"{"t":1,"metadata":7,"u":{"metadata":1}}"#, r#"{"t":1,"u":{"metadata":1}}"#, "7");
        of(r#"{ "metadata": [] }"#, "{  }", "[]");
        for none in [r#"{"t":{"metadata":1}}"#, "[1]", "{\"metadata\":", "\u{0}"] {
            assert_eq!(taken(none), None, "{none}");
        }
    }

    #[test]
    fn what_engines_read_differently_is_refused() {
        for body in [r#"{"metadata":1,"metadata":2}"#, r#"{"Metadata":1}"#] {
            assert_eq!(take_member(body.as_bytes(), "metadata"), Err(Ambiguous), "{body}");
        }
    }
}
