//! A value that fits a simple JSON schema, for tool calls and structured answers.
//!
//! Simple is what tools write by hand or derive from a type: types, properties, items, enums, bounds,
//! alternatives and references within the document. Patterns and conditions are not looked at.

use super::words::Random;
use serde_json::{Map, Value, json};

/// A schema that refers to itself is cut off here, with null.
const DEPTH_MAX: usize = 16;

/// Most items or letters that a `minItems` or `minLength` gets us to make.
const LENGTH_MAX: u64 = 64;

pub(super) fn example(schema: &Value, random: &mut Random) -> Value {
    Examples { root: schema, random }.of(schema, 0)
}

struct Examples<'s, 'r> {
    root: &'s Value,
    random: &'r mut Random,
}

impl<'s> Examples<'s, '_> {
    fn of(&mut self, schema: &'s Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
        {
            return values[self.random.below(values.len() as u64) as usize].clone();
        }
        if let Some(other) = self.referred(schema) {
            return self.of(other, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => self.integer(schema).into(),
            "number" => self.number(schema),
            "boolean" => (self.random.below(2) == 1).into(),
            "null" => Value::Null,
            _ => self.string(schema).into(),
        }
    }

    /// What stands in the schema's place: the target of `$ref`, or the first alternative.
    fn referred(&self, schema: &'s Value) -> Option<&'s Value> {
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            return self.root.pointer(pointer.strip_prefix('#')?);
        }
        ["anyOf", "oneOf", "allOf"].into_iter().find_map(|key| schema.get(key)?.get(0))
    }

    fn object(&mut self, schema: &'s Value, depth: usize) -> Value {
        let mut object = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            object.insert(name.clone(), self.of(property, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &'s Value, depth: usize) -> Value {
        let least = bound(schema, "minItems").unwrap_or(0);
        let most = bound(schema, "maxItems").unwrap_or(u64::MAX);
        let items = least.max(1).min(most).min(LENGTH_MAX);
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..items).map(|_| self.of(item, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let (least, most) = range(schema, 1.0);
        let least = least.ceil() as i64;
        let span = (most.floor() as i64).saturating_sub(least).clamp(0, i64::from(u16::MAX));
        least.saturating_add(self.random.below(span as u64 + 1) as i64)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let (least, most) = range(schema, 0.5);
        // In the middle, where neither bound can be exclusive.
        json!(least + (most - least) / 2.0)
    }

    fn string(&mut self, schema: &Value) -> String {
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => return "2026-01-31".to_owned(),
            Some("date-time") => return "2026-01-31T12:00:00Z".to_owned(),
            Some("email") => return "nobody@example.com".to_owned(),
            Some("uri") => return "https://example.com/".to_owned(),
            _ => (),
        }
        let least = bound(schema, "minLength").unwrap_or(0).min(LENGTH_MAX) as usize;
        let most = bound(schema, "maxLength").unwrap_or(LENGTH_MAX).min(LENGTH_MAX) as usize;
        let mut text = self.random.word().to_owned();
        while text.len() < least {
            text.push_str(self.random.word());
        }
        text.truncate(most);
        text
    }
}

/// A schema's type; of several the first that is not null. Without one, what its keywords suggest.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn bound(schema: &Value, key: &str) -> Option<u64> {
    schema.get(key)?.as_u64()
}

/// The least and the greatest number; an exclusive bound is moved inwards by `step`.
fn range(schema: &Value, step: f64) -> (f64, f64) {
    let at = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = at("minimum").or_else(|| at("exclusiveMinimum").map(|bound| bound + step));
    let most = at("maximum").or_else(|| at("exclusiveMaximum").map(|bound| bound - step));
    match (least, most) {
        (Some(least), Some(most)) => (least, most.max(least)),
        (Some(least), None) => (least, least + 100.0),
        (None, Some(most)) => (most - 100.0, most),
        (None, None) => (0.0, 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: &Value) -> Value {
        example(schema, &mut Random::of("test", 7))
    }

    #[test]
    fn an_object_has_its_properties_in_their_types() {
        let value = made(&json!({
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 12},
                "unit": {"enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 3, "maximum": 5},
                "chance": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "maybe": {"type": ["null", "boolean"]},
                "place": {"$ref": "#/$defs/place"},
                "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            },
            "$defs": {"place": {"type": "object", "properties": {"x": {"const": 4}}}},
        }));
        assert!(value["city"].as_str().unwrap().len() >= 12);
        assert!(["c", "f"].contains(&value["unit"].as_str().unwrap()));
        assert!((3..=5).contains(&value["days"].as_i64().unwrap()));
        let chance = value["chance"].as_f64().unwrap();
        assert!(0.0 < chance && chance <= 1.0);
        assert_eq!(value["tags"].as_array().unwrap().len(), 2);
        assert!(value["maybe"].is_boolean() && value["either"].is_null());
        assert_eq!(value["place"], json!({"x": 4}));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let value = made(&json!({"properties": {"next": {"$ref": "#"}}}));
        assert!(value["next"]["next"].is_object());
        assert_eq!(made(&json!({"$ref": "#"})), Value::Null);
    }

    #[test]
    fn an_odd_schema_still_gives_a_value() {
        for schema in [
            json!(null),
            json!(true),
            json!({"type": 7}),
            json!({"minimum": "x", "type": "integer"}),
            json!({"type": "integer", "minimum": 1e300}),
        ] {
            let _ = made(&schema);
        }
    }
}
