//! What a worker says of its room, its speed and its prices (SPEC section 5).
//!
//! All of it is optional and unproven: whoever says it wrongly counts as not having said it.

use crate::{ModelName, limits::ANNOUNCED_TABLE_MAX, receipt::Fields};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::{cmp::Ordering, collections::BTreeMap};

/// How much a worker takes and how fast it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Requests in its engine at once; at least 1.
    pub concurrency: u32,
    /// Requests that are in it now, running and waiting, as in its `GET /capacity`.
    pub queue_depth: u32,
    /// How fast it makes tokens, by model; empty if it does not say.
    pub tokens_per_second: BTreeMap<ModelName, TokensPerSecond>,
}

/// Credits per 1000 tokens (SPEC section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Price {
    /// Of the prompt.
    pub input: u64,
    /// Of what is made.
    pub output: u64,
}

/// A speed: finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokensPerSecond(f64);

impl TokensPerSecond {
    /// `None` for what is no speed: zero, below it, infinite, not a number.
    pub fn new(speed: f64) -> Option<Self> {
        (speed.is_finite() && speed > 0.0).then_some(Self(speed))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

// Never NaN, so the order of doubles is total.
impl Eq for TokensPerSecond {}

impl PartialOrd for TokensPerSecond {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TokensPerSecond {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Serialize for TokensPerSecond {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl Capacity {
    pub(crate) fn from_wire(value: &Value) -> Option<Self> {
        let fields = Fields(value);
        let count = |name| fields.integer(name).ok().and_then(|number| u32::try_from(number).ok());
        let speeds = value.get("tokensPerSecond");
        let speed = |value: &Value| value.as_f64().and_then(TokensPerSecond::new);
        Some(Self {
            concurrency: count("concurrency").filter(|&requests| requests > 0)?,
            queue_depth: count("queueDepth")?,
            tokens_per_second: speeds
                .map_or_else(|| Some(BTreeMap::new()), |table| by_model(table, speed))?,
        })
    }

    pub(crate) fn to_wire(&self) -> Value {
        let mut object = Map::new();
        object.insert("concurrency".into(), json!(self.concurrency));
        object.insert("queueDepth".into(), json!(self.queue_depth));
        if !self.tokens_per_second.is_empty() {
            object.insert("tokensPerSecond".into(), json!(self.tokens_per_second));
        }
        Value::Object(object)
    }
}

impl Price {
    /// Reads `{"input","output"}` in whole credits; `None` for what is no price.
    pub fn from_wire(value: &Value) -> Option<Self> {
        let fields = Fields(value);
        Some(Self { input: fields.integer("input").ok()?, output: fields.integer("output").ok()? })
    }
}

/// Reads `{"<model>":…}`: whole or not at all, and of at most [`ANNOUNCED_TABLE_MAX`] models.
pub(crate) fn by_model<T>(
    value: &Value,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<BTreeMap<ModelName, T>> {
    let table = value.as_object().filter(|table| table.len() <= ANNOUNCED_TABLE_MAX)?;
    table.iter().map(|(name, value)| Some((name.parse().ok()?, read(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_finite_and_above_zero() {
        for wrong in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(TokensPerSecond::new(wrong), None, "{wrong}");
        }
        assert!(TokensPerSecond::new(1e-3).unwrap() < TokensPerSecond::new(40.0).unwrap());
    }
}
