//! A TOML text -> a tree that knows the line and column of everything in it.
//!
//! A syntax error does not hide the problems elsewhere: the parser recovers, and what an error
//! touched is left out so that nothing is reported twice.

use crate::{
    Place, Problem, Source, key,
    node::{Content, Node},
};
use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};
use toml::{
    Spanned, Value,
    de::{DeInteger, DeTable, DeValue},
};

/// A text as far as it could be read.
pub(crate) struct Document {
    pub(crate) root: Node,
    pub(crate) problems: Vec<Problem>,
    /// The keys that an error left without a value.
    pub(crate) spoilt: Vec<String>,
    /// A section's header is broken: keys may be missing, or stand in the wrong section.
    pub(crate) unreliable: bool,
}

impl Document {
    /// In place of a file of which nothing could be read.
    pub(crate) fn unreadable(path: &Arc<Path>, message: String) -> Self {
        let source = Source::File { path: path.clone(), place: None };
        let problem = Problem { source: source.clone(), key: String::new(), message, hint: None };
        Self { root: Node::root(source), problems: vec![problem], spoilt: Vec::new(), unreliable: true }
    }
}

/// Reads a text; `path` is what problems call it.
pub(crate) fn read(path: &Arc<Path>, text: &str) -> Document {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let mut damage: Vec<(usize, &str)> = errors.iter().map(|error| (at(error), error.message())).collect();
    damage.sort_unstable();
    let errors: Vec<usize> = damage.iter().map(|(at, _)| *at).collect();
    let header = errors.iter().copied().find(|at| lines.is_header(*at));
    let mut reader = Reader { path, lines, errors, header, problems: Vec::new(), spoilt: Vec::new() };
    let root = reader.table("", 0..0, 0..0, table.into_inner());
    reader.report(&damage);
    Document { root, problems: reader.problems, spoilt: reader.spoilt, unreliable: header.is_some() }
}

struct Reader<'t> {
    path: &'t Arc<Path>,
    lines: Lines<'t>,
    /// Where the syntax errors are.
    errors: Vec<usize>,
    /// The first of them that is in a section's header.
    header: Option<usize>,
    problems: Vec<Problem>,
    spoilt: Vec<String>,
}

impl Reader<'_> {
    fn table(&mut self, key: &str, name: Range<usize>, value: Range<usize>, table: DeTable<'_>) -> Node {
        let mut entries = BTreeMap::new();
        for (child_name, child) in table {
            let child_key = key::child(key, child_name.get_ref());
            if let Some(node) = self.node(&child_key, child_name.span(), child) {
                entries.insert(child_name.into_inner().into_owned(), node);
            }
        }
        self.placed(key, name, value, Content::Table(entries))
    }

    fn node(&mut self, key: &str, name: Range<usize>, value: Spanned<DeValue<'_>>) -> Option<Node> {
        let span = value.span();
        if self.is_spoilt(&name, &span) {
            self.spoilt.push(key.to_owned());
            return None;
        }
        let content = match value.into_inner() {
            DeValue::Table(table) => return Some(self.table(key, name, span, table)),
            DeValue::Array(items) => {
                let items = items.into_iter().enumerate();
                let items = items.filter_map(|(i, item)| self.node(&key::element(key, i), item.span(), item));
                Content::List(items.collect())
            }
            DeValue::String(text) => Content::Scalar(Value::String(text.into_owned())),
            DeValue::Integer(number) => Content::Scalar(Value::Integer(self.integer(key, &span, &number)?)),
            // "inf" is no more a number of anything here than text would be: no key takes a float.
            DeValue::Float(number) => {
                Content::Scalar(Value::Float(number.as_str().parse().unwrap_or(f64::NAN)))
            }
            DeValue::Boolean(flag) => Content::Scalar(Value::Boolean(flag)),
            DeValue::Datetime(time) => Content::Scalar(Value::Datetime(time)),
        };
        Some(self.placed(key, name, span, content))
    }

    fn integer(&mut self, key: &str, span: &Range<usize>, number: &DeInteger<'_>) -> Option<i64> {
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            self.spoilt.push(key.to_owned());
            self.problem(span.start, key, format!("the number is too large; at most {}", i64::MAX));
        }
        parsed
    }

    /// Whether a syntax error touched what stands here. A header's span ends before its keys begin,
    /// so a section survives the errors in it.
    fn is_spoilt(&self, name: &Range<usize>, value: &Range<usize>) -> bool {
        let whole = name.start.min(value.start)..=name.end.max(value.end);
        self.errors.iter().any(|at| whole.contains(at))
            || self.header.is_some_and(|header| *whole.start() > header)
    }

    fn placed(&self, key: &str, name: Range<usize>, value: Range<usize>, content: Content) -> Node {
        Node { key: key.to_owned(), named_at: self.source(name.start), at: self.source(value.start), content }
    }

    fn report(&mut self, damage: &[(usize, &str)]) {
        let mut last_line = None;
        for &(at, message) in damage {
            // The parser's further errors on a line are echoes of its first.
            let line = self.lines.place(at).line;
            if last_line.replace(line) != Some(line) {
                self.problem(at, "", message.to_owned());
            }
        }
    }

    fn problem(&mut self, at: usize, key: &str, message: String) {
        self.problems.push(Problem { source: self.source(at), key: key.to_owned(), message, hint: None });
    }

    fn source(&self, at: usize) -> Source {
        Source::File { path: self.path.clone(), place: Some(self.lines.place(at)) }
    }
}

/// A text by lines, so that a place is found without counting from the top each time.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// The place of a byte. A byte within a character counts as the character after it.
    pub(crate) fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        let before = self.text.as_bytes()[self.starts[line - 1]..].iter().take(at - self.starts[line - 1]);
        Place { line, column: 1 + before.filter(|byte| **byte & 0xC0 != 0x80).count() }
    }

    fn is_header(&self, at: usize) -> bool {
        let start = self.starts[self.place(at).line - 1];
        self.text[start..].trim_start_matches([' ', '\t']).starts_with('[')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a\n\u{e9}x = 1\n";
        let lines = Lines::of(text);
        let place = |at| (lines.place(at).line, lines.place(at).column);
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(text.find('x').unwrap()), (2, 2));
        assert_eq!(place(text.len()), (3, 1));
    }

    #[test]
    fn an_error_takes_away_what_it_touches_and_nothing_else() {
        let text = "[[routes]]\nmodel = \"a\"\n[[routes]]\nmodel = b\nto = []\n[files]\nmax = 1";
        let document = read(&Arc::from(Path::new("f")), text);
        assert_eq!(document.spoilt, ["routes[1].model"]);
        assert!(!document.unreliable);
        assert!(document.root.child("files").unwrap().child("max").is_some());
    }
}
