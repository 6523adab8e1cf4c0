//! A list of replacements in a text, made all at once.

use crate::members::Span;
use std::borrow::Cow;

/// Replacements that do not overlap. Two insertions at one place stand in the order of their making.
#[derive(Default)]
pub(crate) struct Edits(Vec<(Span, Cow<'static, str>)>);

impl Edits {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn replace(&mut self, span: Span, text: impl Into<Cow<'static, str>>) {
        self.0.push((span, text.into()));
    }

    pub(crate) fn insert(&mut self, at: usize, text: impl Into<Cow<'static, str>>) {
        self.replace(Span { start: at, end: at }, text);
    }

    pub(crate) fn remove(&mut self, span: Span) {
        self.replace(span, "");
    }

    pub(crate) fn apply(mut self, text: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(span, _)| span.start);
        let added: usize = self.0.iter().map(|(_, new)| new.len()).sum();
        let mut edited = Vec::with_capacity(text.len() + added);
        let mut done = 0;
        for (span, new) in &self.0 {
            edited.extend_from_slice(&text[done..span.start]);
            edited.extend_from_slice(new.as_bytes());
            done = span.end;
        }
        edited.extend_from_slice(&text[done..]);
        edited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_may_be_listed_in_any_order() {
        let mut edits = Edits::default();
        edits.insert(6, "!");
        edits.remove(Span { start: 2, end: 4 });
        edits.replace(Span { start: 0, end: 1 }, "AA");
        edits.insert(6, "?");
        assert_eq!(edits.apply(b"abcdef"), b"AAbef!?");
    }
}
