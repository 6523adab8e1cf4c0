//! Recognising the keys that we read, in every spelling that an engine may take for them.
//!
//! Go's encoding/json, which Ollama uses, matches keys without regard to case, by Unicode's simple
//! folding. A body with `"Model"` would name one model to us and another to the engine; so such a
//! spelling is recognised here, and refused.

use std::borrow::Cow;

/// A key that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Which of the names.
    pub(super) index: usize,
    /// Whether it is spelled as it should be, escapes resolved.
    pub(super) exact: bool,
}

/// Which of `names` a key is, if any. `raw` is the key as it stands in the JSON text, with quotes;
/// `names` are in lower-case ASCII.
pub(super) fn find(raw: &str, names: &[&str]) -> Option<Found> {
    let inner = &raw[1..raw.len() - 1];
    if inner.is_ascii() && !inner.contains('\\') {
        let index = names.iter().position(|name| name.eq_ignore_ascii_case(inner))?;
        return Some(Found { index, exact: names[index] == inner });
    }
    let key = unescaped(raw)?;
    let index = names.iter().position(|name| key.chars().map(folded).eq(name.chars()))?;
    Some(Found { index, exact: names[index] == key })
}

/// None for a lone surrogate, which no name holds.
pub(super) fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Only two characters outside ASCII fold into it: the long s and the Kelvin sign.
fn folded(char: char) -> char {
    match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["model", "max_tokens"];

    fn check(raw: &str, expected: Option<(usize, bool)>) {
        assert_eq!(find(raw, NAMES), expected.map(|(index, exact)| Found { index, exact }), "{raw}");
    }

    #[test]
    fn every_spelling_that_go_would_take_is_recognised() {
        check(r#""model""#, Some((0, true)));
        check(r#""\u006dodel""#, Some((0, true)));
        check(r#""MODEL""#, Some((0, false)));
        check("\"max_to\u{212a}en\u{17f}\"", Some((1, false)));
        check(r#""max_to\u212aens""#, Some((1, false)));
        check(r#""\u004dodel""#, Some((0, false)));
    }

    #[test]
    fn other_keys_are_not() {
        for raw in
            [r#""models""#, r#""""#, r#"" model""#, r#""\ud800model""#, r#""mödel""#, r#""model\u0000""#]
        {
            check(raw, None);
        }
    }
}
