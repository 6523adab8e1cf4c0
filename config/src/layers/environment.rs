//! Environment variables -> a layer: `LOBSTAH_<SECTION>__<KEY>`, and `OLLAMA_HOST`.
//!
//! Variables without `__` (`LOBSTAH_HOME`, `LOBSTAH_LOG`…) are no keys of the file and none of this
//! module's business.

use super::{Layer, checked, ollama_host};
use crate::{
    Environment, Problem, Source,
    node::Node,
    schema::{self, Shape},
};
use toml::Value;

/// What the environment says.
pub(crate) fn environment(env: &Environment, problems: &mut Vec<Problem>) -> Layer {
    let mut root = Node::root(Source::Defaults);
    if let Some(host) = env.get("OLLAMA_HOST") {
        // Read first, so that LOBSTAH_OLLAMA__URL beats it.
        let url = ollama_host::url(&host.to_string_lossy());
        root.absorb(Node::alone(&["ollama", "url"], &source("OLLAMA_HOST"), Value::String(url)));
    }
    for (name, value) in env.iter() {
        let Some(path) = path_of(name) else { continue };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match value_of(&path, value.to_str()) {
            Ok(value) => root.absorb(checked(Node::alone(&path, &source(name), value), problems)),
            Err(message) => {
                let key = path.join(".");
                problems.push(Problem { source: source(name), key, message, hint: None });
            }
        }
    }
    Layer { name: "environment", root }
}

fn source(variable: &str) -> Source {
    Source::Environment { variable: variable.into() }
}

fn path_of(variable: &str) -> Option<Vec<String>> {
    let rest = variable.strip_prefix("LOBSTAH_").filter(|rest| rest.contains("__"))?;
    Some(rest.split("__").map(str::to_ascii_lowercase).collect())
}

/// A text read as the type that its key has; a key that nobody knows keeps the text.
fn value_of(path: &[&str], text: Option<&str>) -> Result<Value, String> {
    let text = text.ok_or("the value is not UTF-8")?;
    let Some(section) = schema::known().child(path[0]) else { return Ok(Value::String(text.to_owned())) };
    if let Shape::List(_) = section.shape {
        return Err(format!("[[{}]] can only be written in the file", path[0]));
    }
    let known = path[1..].iter().try_fold(section, |known, name| known.child(name));
    match known.map(|known| &known.shape) {
        Some(shape @ Shape::Integer) => {
            text.trim().parse().map(Value::Integer).map_err(|_| format!("expected {}", shape.in_words()))
        }
        Some(shape @ Shape::Boolean) => {
            text.trim().parse().map(Value::Boolean).map_err(|_| format!("expected {}", shape.in_words()))
        }
        Some(Shape::List(_)) => list(text),
        Some(Shape::Map(_)) => inline(text, "an inline table of TOML"),
        Some(Shape::Text | Shape::Size | Shape::Section(_)) | None => Ok(Value::String(text.to_owned())),
    }
}

/// `["a", "b"]` or `a, b`.
fn list(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('[') {
        return inline(text, "a list of TOML, or texts with commas between them");
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
}

/// The parser's own message would show the text, which may be a secret.
fn inline(text: &str, expected: &str) -> Result<Value, String> {
    text.trim().parse().map_err(|_| format!("expected {expected}"))
}
