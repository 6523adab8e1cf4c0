//! A value that remembers where it was written: what every layer is read into.

use crate::{Source, key};
use figment::value::{Dict, Value as Layered};
use std::collections::BTreeMap;
use toml::Value;

/// A value of a layer and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its path as it was typed. What is dropped from a list does not move its neighbours' names.
    pub(crate) key: String,
    /// Where its name stands; for an element of a list, the element.
    pub(crate) named_at: Source,
    /// Where its value stands.
    pub(crate) at: Source,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Neither a list nor a table.
    Scalar(Value),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// The empty top of a layer.
    pub(crate) fn root(source: Source) -> Self {
        Self::new(String::new(), &source, Content::Table(BTreeMap::new()))
    }

    /// A whole layer that holds one value, under a path of plain names.
    pub(crate) fn alone(path: &[&str], source: &Source, value: Value) -> Self {
        Self::nested("", path, source, value)
    }

    fn nested(key: &str, path: &[&str], source: &Source, value: Value) -> Self {
        let Some((&name, rest)) = path.split_first() else { return Self::written(key, source, value) };
        let inner = Self::nested(&key::child(key, name), rest, source, value);
        Self::new(key.to_owned(), source, Content::Table(BTreeMap::from([(name.to_owned(), inner)])))
    }

    /// A value all of which was written at one place.
    fn written(key: &str, source: &Source, value: Value) -> Self {
        let content = match value {
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                Content::List(
                    items.map(|(i, item)| Self::written(&key::element(key, i), source, item)).collect(),
                )
            }
            Value::Table(entries) => {
                let entries = entries.into_iter();
                Content::Table(
                    entries
                        .map(|(name, value)| {
                            (name.clone(), Self::written(&key::child(key, &name), source, value))
                        })
                        .collect(),
                )
            }
            scalar => Content::Scalar(scalar),
        };
        Self::new(key.to_owned(), source, content)
    }

    fn new(key: String, source: &Source, content: Content) -> Self {
        Self { key, named_at: source.clone(), at: source.clone(), content }
    }

    /// Takes in what `other` holds; where both hold a value that is no table, the later wins.
    pub(crate) fn absorb(&mut self, other: Node) {
        match (&mut self.content, other) {
            (Content::Table(ours), Node { content: Content::Table(theirs), .. }) => {
                for (name, node) in theirs {
                    match ours.get_mut(&name) {
                        Some(known) => known.absorb(node),
                        None => drop(ours.insert(name, node)),
                    }
                }
            }
            (_, other) => *self = other,
        }
    }

    /// The node of this name, if this is a table.
    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        match &self.content {
            Content::Table(entries) => entries.get(name),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The node at this index, if this is a list.
    pub(crate) fn element(&self, index: usize) -> Option<&Node> {
        match &self.content {
            Content::List(items) => items.get(index),
            Content::Scalar(_) | Content::Table(_) => None,
        }
    }

    /// The same value as figment lays it over others.
    pub(crate) fn layered(&self) -> Layered {
        match &self.content {
            Content::Scalar(Value::String(text)) => text.clone().into(),
            Content::Scalar(Value::Integer(number)) => (*number).into(),
            Content::Scalar(Value::Float(number)) => (*number).into(),
            Content::Scalar(Value::Boolean(flag)) => (*flag).into(),
            Content::Scalar(other) => other.to_string().into(),
            Content::List(items) => items.iter().map(Node::layered).collect::<Vec<_>>().into(),
            Content::Table(_) => self.layered_entries().into(),
        }
    }

    /// The entries of a table, none for anything else.
    pub(crate) fn layered_entries(&self) -> Dict {
        match &self.content {
            Content::Table(entries) => {
                entries.iter().map(|(name, node)| (name.clone(), node.layered())).collect()
            }
            Content::Scalar(_) | Content::List(_) => Dict::new(),
        }
    }
}
