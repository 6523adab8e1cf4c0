//! Where the members of a JSON object stand in its text.
//!
//! One pass over the text validates all of it and tells the byte positions of the outermost keys and
//! values, so that a member can be replaced or taken out without writing the rest anew. Nesting costs
//! no stack: serde_json skips a raw value iteratively.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{fmt, ops::Range};

/// A part of a text, as byte positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    pub(crate) fn shifted(self, by: usize) -> Span {
        Span { start: self.start + by, end: self.end + by }
    }

    /// Where `part` stands in `whole`, which it must be a slice of.
    fn of(part: &str, whole: &str) -> Span {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Span { start, end: start + part.len() }
    }
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The key with its quotes.
    pub(crate) key: Span,
    pub(crate) value: Span,
    /// Where the value of the member before it ends.
    pub(crate) previous_end: Option<usize>,
}

impl Member {
    /// The part to cut out so that the object stays valid, if all members before it stay.
    pub(crate) fn cut_with_comma_before(self) -> Option<Span> {
        self.previous_end.map(|start| Span { start, end: self.value.end })
    }

    /// The same, if no member before it stays.
    pub(crate) fn cut_with_comma_after(self, text: &[u8]) -> Span {
        let after = skip_white_space(text, self.value.end);
        let end = match text.get(after) {
            Some(b',') => skip_white_space(text, after + 1),
            _ => self.value.end,
        };
        Span { start: self.key.start, end }
    }
}

fn skip_white_space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + (rest.len() - rest.trim_ascii_start().len())
}

/// Calls `each` for every member of the object that `text` is, in order. White space may stand
/// around the object and nothing else.
pub(crate) fn walk<F: FnMut(Member)>(text: &str, each: F) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.deserialize_map(Walk { text, each })?;
    parser.end()
}

/// Whether an error of [`walk`] says that the text is JSON, but no object.
pub(crate) fn is_no_object(text: &str, error: &serde_json::Error) -> bool {
    error.is_data() && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

struct Walk<'t, F> {
    text: &'t str,
    each: F,
}

impl<'t, F: FnMut(Member)> Visitor<'t> for Walk<'t, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut previous_end = None;
        while let Some(key) = members.next_key::<&RawValue>()? {
            let value = members.next_value::<&RawValue>()?;
            let key = Span::of(key.get(), self.text);
            let value = Span::of(value.get(), self.text);
            (self.each)(Member { key, value, previous_end });
            previous_end = Some(value.end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_found_where_they_stand() {
        let text = " { \"a\" : [1, {\"b\":2}] ,\n\"\\u0063\":\"}\" } ";
        let mut found = Vec::new();
        walk(text, |member| found.push((&text[member.key.range()], &text[member.value.range()]))).unwrap();
        assert_eq!(found, [("\"a\"", "[1, {\"b\":2}]"), ("\"\\u0063\"", "\"}\"")]);
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(walk(&text, |_| ()).is_ok());
    }

    #[test]
    fn json_that_is_no_object_is_told_from_rubbish() {
        let no_object = |text: &str| is_no_object(text, &walk(text, |_| ()).unwrap_err());
        assert!(no_object("[1]") && no_object("null") && no_object("\"{}\""));
        assert!(!no_object("[1") && !no_object("") && !no_object("{\"a\"}") && !no_object("{} {}"));
    }
}
