//! What upstreams say of themselves, as far as it is read; what makes no sense is left out.

use crate::inventory::{self, Model};
use protocol::{ModelName, Price, limits::ANNOUNCED_MODELS_MAX};
use serde::Deserialize;
use std::collections::HashMap;

/// `GET /capacity` as far as it is read. Version 1 says less.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaidCapacity {
    pub(super) pubkey: Option<String>,
    pub(super) models: Option<Vec<String>>,
    pub(super) protocol: Option<u8>,
    pub(super) tier: Option<String>,
    pub(super) concurrency: Option<usize>,
    pub(super) queue_depth: Option<usize>,
    pub(super) prices: Option<serde_json::Map<String, serde_json::Value>>,
    pub(super) digests: Option<HashMap<String, String>>,
    pub(super) contexts: Option<HashMap<String, serde_json::Value>>,
}

/// `GET /v1/models` as far as it is read.
#[derive(Deserialize)]
pub(super) struct SaidModels {
    pub(super) data: Vec<SaidModel>,
}

#[derive(Deserialize)]
pub(super) struct SaidModel {
    pub(super) id: String,
}

impl SaidCapacity {
    /// At most so many models, with what is said of each.
    pub(super) fn take_models(&mut self, most: usize) -> Vec<Model> {
        let mut models = named(self.models.take().unwrap_or_default());
        models.truncate(most);
        let digests = self.digests.take().unwrap_or_default();
        let contexts = self.contexts.take().unwrap_or_default();
        for model in &mut models {
            model.digest = digests.get(model.name.as_str()).and_then(|text| inventory::digest(text));
            let context = contexts.get(model.name.as_str()).and_then(serde_json::Value::as_u64);
            model.context_length = context.filter(|tokens| *tokens > 0);
        }
        models
    }
}

/// Names that are no names are left out: a peer's mistake costs nobody else.
pub(super) fn named(names: Vec<String>) -> Vec<Model> {
    let names = names.into_iter().take(ANNOUNCED_MODELS_MAX);
    names.filter_map(|name| name.parse().ok()).map(Model::named).collect()
}

/// Prices that are none are left out: what they stand for is charged the common price, or not ordered.
pub(super) fn priced(said: serde_json::Map<String, serde_json::Value>) -> HashMap<String, Price> {
    let some = said.into_iter().take(ANNOUNCED_MODELS_MAX);
    let price = |(name, price): (String, serde_json::Value)| {
        let name: ModelName = name.parse().ok()?;
        Some((name.with_tag().into_owned(), Price::from_wire(&price)?))
    };
    some.filter_map(price).collect()
}

pub(super) fn unix_seconds(rfc3339: &str) -> u64 {
    let time = humantime::parse_rfc3339_weak(rfc3339).or_else(|_| humantime::parse_rfc3339(rfc3339));
    let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
