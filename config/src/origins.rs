//! Where each value in force comes from: for `config show`, and for problems that are found after merging.

use crate::{
    Place, Source, key,
    layers::{DEFAULTS_LAYER, Layer},
    node::{Content, Node},
    schema::{self, Known, Shape},
};
use figment::{Figment, value::Value as Layered};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::collections::{BTreeMap, BTreeSet};

/// A key, its value in force, and who set it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key's path: `gateway.listen`, `peers[0].url`.
    pub key: String,
    /// The value as it was typed; a secret is `"***"`.
    pub value: toml::Value,
    /// Who set it.
    pub source: Source,
}

/// Where each value in force comes from.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    settings: Vec<Setting>,
    /// By the path after merging: the path as it was typed, and where.
    places: BTreeMap<String, (String, Source)>,
    /// What was typed and left out because it is wrong: already reported.
    dropped: BTreeSet<String>,
}

impl Origins {
    /// Every key in force: sections as `defaults.toml` has them, then the entries of arrays.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The value in force of one key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Who set a key; of a key that nobody set, who set what it would stand in.
    pub fn source(&self, key: &str) -> &Source {
        let mut places = key::upwards(key).filter_map(|key| self.places.get(key));
        places.next().map_or(&Source::Defaults, |(_, source)| source)
    }

    /// The key as its owner typed it: what was dropped from a list before it does not count there.
    pub(crate) fn typed_key(&self, key: &str) -> String {
        let mut known = key::upwards(key).filter_map(|known| Some((known, &self.places.get(known)?.0)));
        known
            .next()
            .map_or_else(|| key.to_owned(), |(known, typed)| format!("{typed}{}", &key[known.len()..]))
    }

    /// Whether the key, or anything in it or around it, was typed and left out.
    pub(crate) fn is_dropped(&self, key: &str) -> bool {
        key::upwards(key).any(|key| self.dropped.contains(key))
            || self.dropped.iter().any(|dropped| key::upwards(dropped).any(|above| above == key))
    }

    pub(crate) fn trace(figment: &Figment, layers: &[Layer], dropped: BTreeSet<String>) -> Self {
        let mut origins = Self { dropped, ..Self::default() };
        if let Ok(merged) = figment.find_value("") {
            let roots = layers.iter().map(|layer| (layer.name, &layer.root)).collect();
            Tracer { figment, origins: &mut origins }.visit("", &merged, roots, Some(schema::known()));
        }
        let order: BTreeMap<String, Option<Place>> = places_of(&layers[0].root);
        // Sections stand where the defaults have them; what has no default follows.
        origins
            .settings
            .sort_by_key(|setting| order.get(&setting.key).map_or((true, None), |at| (false, *at)));
        origins
    }
}

fn places_of(defaults: &Node) -> BTreeMap<String, Option<Place>> {
    let mut places = BTreeMap::new();
    for section in schema::known().keys().into_iter().flatten().filter_map(|(name, _)| defaults.child(name)) {
        let Content::Table(keys) = &section.content else { continue };
        places.extend(keys.values().map(|node| (node.key.clone(), node.named_at.place())));
    }
    places
}

struct Tracer<'a> {
    figment: &'a Figment,
    origins: &'a mut Origins,
}

impl<'a> Tracer<'a> {
    /// Walks the merged value and, beside it, the same place in each layer that has it.
    fn visit(&mut self, key: &str, value: &Layered, nodes: Vec<(&str, &Node)>, known: Option<&Known>) {
        let winner = self.winner(value, &nodes);
        // The defaults are a file of ours: to the owner they have no line.
        let written = winner.filter(|_| self.layer_of(value) != DEFAULTS_LAYER);
        let source = written.map_or(Source::Defaults, |node| node.at.clone());
        if let Some(node) = winner {
            self.origins.places.insert(key.to_owned(), (node.key.clone(), source.clone()));
        }
        if let Some(known) = known.filter(|known| is_setting(known)) {
            self.origins.settings.push(setting(key, value, source, known));
        }
        let inner =
            |name: &str| known.and_then(|known| known.child(name)).filter(|_| !known.is_some_and(is_setting));
        if let Some(entries) = value.as_dict() {
            for (name, value) in entries {
                let nodes =
                    nodes.iter().filter_map(|(layer, node)| Some((*layer, node.child(name)?))).collect();
                self.visit(&key::child(key, name), value, nodes, inner(name));
            }
        }
        if let (Some(items), Some(winner)) = (value.as_array(), winner) {
            let item = known.and_then(|known| match &known.shape {
                Shape::List(item) if !is_setting(known) => Some(&**item),
                _ => None,
            });
            for (index, value) in items.iter().enumerate() {
                let nodes = winner.element(index).map(|node| (self.layer_of(value), node));
                self.visit(&key::element(key, index), value, nodes.into_iter().collect(), item);
            }
        }
    }

    /// The layer that figment took this value from.
    fn layer_of(&self, value: &Layered) -> &'a str {
        self.figment.get_metadata(value.tag()).map_or("", |metadata| &*metadata.name)
    }

    fn winner<'n>(&self, value: &Layered, nodes: &[(&str, &'n Node)]) -> Option<&'n Node> {
        let name = self.layer_of(value);
        nodes.iter().find(|(layer, _)| *layer == name).map(|(_, node)| *node)
    }
}

/// A leaf, or a list or table that is set as a whole.
fn is_setting(known: &Known) -> bool {
    match &known.shape {
        Shape::Section(_) => false,
        Shape::List(item) => item.keys().is_none(),
        Shape::Text | Shape::Integer | Shape::Boolean | Shape::Size | Shape::Map(_) => true,
    }
}

fn setting(key: &str, value: &Layered, source: Source, known: &Known) -> Setting {
    let value = toml::Value::try_from(value).unwrap_or_else(|_| toml::Value::String(String::new()));
    Setting { key: key.to_owned(), value: if known.secret { masked(value) } else { value }, source }
}

fn masked(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Array(items) => toml::Value::Array(items.into_iter().map(masked).collect()),
        _ => toml::Value::String("***".to_owned()),
    }
}

/// As `config show --json` prints it.
impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Setting", 3)?;
        object.serialize_field("key", &self.key)?;
        object.serialize_field("value", &self.value)?;
        object.serialize_field("source", &self.source.to_string())?;
        object.end()
    }
}
