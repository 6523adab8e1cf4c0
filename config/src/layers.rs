//! The four layers, each checked against the schema on its own, and how figment takes them.

mod environment;
mod ollama_host;

use crate::{
    Problem, Source,
    document::{self, Document},
    node::Node,
    schema, structure,
};
use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map},
};
use std::{path::Path, sync::Arc};
use toml::Value;

pub(crate) use environment::environment;

pub(crate) const DEFAULTS_LAYER: &str = "defaults";

/// A value given on the command line. It wins over all others.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as the user knows it, for messages: `--port`.
    pub flag: String,
    /// The key that it sets: `gateway.listen`.
    pub key: String,
    /// The value, of the type that the key has in the file.
    pub value: Value,
}

/// One layer: what of it the schema allows.
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) root: Node,
}

/// The values nobody wrote.
pub(crate) fn defaults() -> Layer {
    let mut problems = Vec::new();
    let document = document::read(&Arc::from(Path::new("defaults.toml")), crate::DEFAULTS);
    let root = checked(document.root, &mut problems);
    debug_assert!(
        problems.is_empty() && document.problems.is_empty(),
        "{problems:?} {:?}",
        document.problems
    );
    Layer { name: DEFAULTS_LAYER, root }
}

/// What the file says; nothing if there is none.
pub(crate) fn file(document: Option<Document>, problems: &mut Vec<Problem>) -> Layer {
    let root = match document {
        Some(document) => {
            problems.extend(document.problems);
            checked(document.root, problems)
        }
        None => Node::root(Source::Defaults),
    };
    Layer { name: "file", root }
}

/// What the flags say; of two for one key the later.
pub(crate) fn flags(flags: &[Flag], problems: &mut Vec<Problem>) -> Layer {
    let mut root = Node::root(Source::Defaults);
    for flag in flags {
        let source = Source::Flag { flag: flag.flag.as_str().into() };
        let path: Vec<&str> = flag.key.split('.').collect();
        root.absorb(checked(Node::alone(&path, &source, flag.value.clone()), problems));
    }
    Layer { name: "flags", root }
}

/// The layer without what the schema does not allow.
fn checked(root: Node, problems: &mut Vec<Problem>) -> Node {
    let source = root.at.clone();
    structure::check(root, schema::known(), problems).unwrap_or_else(|| Node::root(source))
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.root.layered_entries()))
    }
}
