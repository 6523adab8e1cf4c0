//! The JSON Schema of `lobstah.toml`, and the same as the shapes that layers are compared with.
//!
//! Both come from [`RawConfig`]: a key that is added there is known everywhere.

use crate::{DEFAULTS, RawConfig};
use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::LazyLock};

/// The JSON Schema that `config schema` prints, with the defaults filled in.
pub fn schema() -> Value {
    let mut schema = bare_schema();
    let defaults: toml::Table = toml::from_str(DEFAULTS).unwrap_or_default();
    for (section, keys) in defaults {
        for (key, default) in keys.as_table().into_iter().flatten() {
            let pointer = format!("/properties/{section}/properties/{key}");
            let described = schema.pointer_mut(&pointer).and_then(Value::as_object_mut);
            if let (Some(described), Ok(default)) = (described, serde_json::to_value(default)) {
                described.insert("default".to_owned(), default);
            }
        }
    }
    schema
}

/// One kind of value.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Text,
    Integer,
    Boolean,
    /// An integer, or text with a unit.
    Size,
    List(Box<Known>),
    /// A table of which every key is known.
    Section(BTreeMap<String, Known>),
    /// A table with keys of the user's.
    Map(Box<Known>),
}

/// What is known about a key.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) shape: Shape,
    /// Its value is never shown.
    pub(crate) secret: bool,
}

/// The whole file.
pub(crate) fn known() -> &'static Known {
    static KNOWN: LazyLock<Known> = LazyLock::new(|| Known::from_schema(&bare_schema()));
    &KNOWN
}

impl Known {
    pub(crate) fn child(&self, name: &str) -> Option<&Known> {
        match &self.shape {
            Shape::Section(keys) => keys.get(name),
            Shape::Map(value) => Some(value),
            Shape::Text | Shape::Integer | Shape::Boolean | Shape::Size | Shape::List(_) => None,
        }
    }

    /// The keys of a section, or of each section of a list.
    pub(crate) fn keys(&self) -> Option<&BTreeMap<String, Known>> {
        match &self.shape {
            Shape::Section(keys) => Some(keys),
            Shape::List(item) => item.keys(),
            Shape::Text | Shape::Integer | Shape::Boolean | Shape::Size | Shape::Map(_) => None,
        }
    }

    fn from_schema(schema: &Value) -> Self {
        let secret = schema["writeOnly"] == true || schema["items"]["writeOnly"] == true;
        Self { shape: Shape::from_schema(schema), secret }
    }
}

impl Shape {
    fn from_schema(schema: &Value) -> Self {
        match &schema["type"] {
            Value::String(name) => match name.as_str() {
                "integer" => Self::Integer,
                "boolean" => Self::Boolean,
                "array" => Self::List(Box::new(Known::from_schema(&schema["items"]))),
                "object" => Self::table(schema),
                _ => Self::Text,
            },
            _ => Self::Size,
        }
    }

    fn table(schema: &Value) -> Self {
        match schema["properties"].as_object() {
            Some(keys) => Self::Section(
                keys.iter().map(|(name, key)| (name.clone(), Known::from_schema(key))).collect(),
            ),
            None => Self::Map(Box::new(Known::from_schema(&schema["additionalProperties"]))),
        }
    }

    /// What is expected, in a sentence's words.
    pub(crate) fn in_words(&self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "a whole number from 0",
            Self::Boolean => "true or false",
            Self::Size => "a size such as \"32MiB\"",
            Self::List(_) => "a list",
            Self::Section(_) | Self::Map(_) => "a table",
        }
    }
}

fn bare_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let without_null = RecursiveTransform(|schema: &mut Schema| {
        if let Some(object) = schema.as_object_mut() {
            forget_null(object);
        }
    });
    settings.with_transform(without_null).into_generator().into_root_schema_for::<RawConfig>().to_value()
}

/// TOML has no null: an optional key is left out. Defaults that derive invents for sections would
/// say nothing, and are replaced by the real ones.
fn forget_null(schema: &mut Map<String, Value>) {
    schema.remove("default");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(allowed)) = schema.get_mut("enum") {
        allowed.retain(|value| !value.is_null());
    }
}
