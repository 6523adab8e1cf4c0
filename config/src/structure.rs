//! Compares a layer with the schema: unknown keys and wrong types, all of them in one pass.
//!
//! What is wrong is noted and left out, so the rest can go on to be resolved and judged too.

use crate::{
    Problem,
    node::{Content, Node},
    schema::{Known, Shape},
    suggest,
};
use std::collections::BTreeMap;
use toml::Value;

/// The node without what the schema does not allow; `None` if that is all of it.
pub(crate) fn check(node: Node, known: &Known, problems: &mut Vec<Problem>) -> Option<Node> {
    let Node { key, named_at, at, content } = node;
    let content = match (&known.shape, content) {
        (Shape::Section(keys), Content::Table(entries)) => {
            Content::Table(entries_of(&key, entries, keys, problems))
        }
        (Shape::Map(value), Content::Table(entries)) => {
            let entries = entries.into_iter();
            let entries = entries.filter_map(|(name, node)| Some((name, check(node, value, problems)?)));
            Content::Table(entries.collect())
        }
        (Shape::List(item), Content::List(items)) => {
            Content::List(items.into_iter().filter_map(|node| check(node, item, problems)).collect())
        }
        (shape, Content::Scalar(value)) if fits(shape, &value) => Content::Scalar(value),
        (shape, content) => {
            let (message, hint) = wrong_type(shape, &content);
            problems.push(Problem { source: at, key, message, hint });
            return None;
        }
    };
    Some(Node { key, named_at, at, content })
}

fn entries_of(
    section: &str,
    entries: BTreeMap<String, Node>,
    keys: &BTreeMap<String, Known>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Node> {
    let mut kept = BTreeMap::new();
    for (name, node) in entries {
        match keys.get(&name) {
            Some(known) => kept.extend(check(node, known, problems).map(|node| (name, node))),
            None => problems.push(suggest::unknown_key(section, keys, &name, &node)),
        }
    }
    kept
}

fn fits(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Text | Shape::Size, Value::String(_)) | (Shape::Boolean, Value::Boolean(_)) => true,
        (Shape::Integer | Shape::Size, Value::Integer(number)) => *number >= 0,
        _ => false,
    }
}

/// Never shows a text that was found: it may be a secret that was put in the wrong place.
fn wrong_type(shape: &Shape, content: &Content) -> (String, Option<String>) {
    let found = match content {
        Content::Scalar(Value::Integer(number)) if *number < 0 => "a negative number",
        Content::Scalar(Value::Integer(_)) => "a whole number",
        Content::Scalar(Value::Float(_)) => "a number with a fraction",
        Content::Scalar(Value::Boolean(_)) => "true or false",
        Content::Scalar(Value::Datetime(_)) => "a date",
        Content::Scalar(_) => "a string",
        Content::List(_) => "a list",
        Content::Table(_) => "a table",
    };
    let hint = match (shape, content) {
        (Shape::Text, Content::Scalar(_)) => Some("put it in quotes"),
        (Shape::List(item), Content::Table(_)) if item.keys().is_some() => Some("write its header as [[…]]"),
        (Shape::List(_), Content::Scalar(_)) => Some("put it in [ ]"),
        (Shape::Integer | Shape::Boolean, Content::Scalar(Value::String(_))) => {
            Some("write it without quotes")
        }
        _ => None,
    };
    (format!("expected {}, found {found}", shape.in_words()), hint.map(str::to_owned))
}
