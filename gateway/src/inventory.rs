//! What an upstream said that it has.

use protocol::{ModelName, Price, Tier};
use std::collections::HashMap;

/// The answer to the last probe, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    models: Vec<Model>,
    /// From the name with its tag made explicit to its place in `models`.
    index: HashMap<String, usize>,
    /// Whether the last probe was answered.
    pub up: bool,
    /// Whether any probe was ever answered: else nobody can say what it does not have.
    pub known: bool,
    /// What came of the last probe, if it was nothing good.
    pub trouble: Option<String>,
    /// 2 where it said so.
    pub protocol: u8,
    /// How much it takes, and what of it was taken by others when it was asked.
    pub capacity: Option<Capacity>,
    /// What it says that it is good for.
    pub tier: Option<Tier>,
    /// What it charges, by name with the tag made explicit; the common price where it says nothing.
    pub prices: HashMap<String, Price>,
}

/// A worker's room, as far as it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Requests that it works on at once.
    pub concurrency: usize,
    /// Requests of others in it: running and waiting.
    pub others: usize,
}

/// A model of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: ModelName,
    /// Of what runs under this name, as Ollama says it.
    pub digest: Option<[u8; 32]>,
    /// Tokens of context: of the own engine what it was trained for, of a peer what it says that it goes to.
    pub context_length: Option<u64>,
    /// Tokens of context that its Modelfile sets.
    pub num_ctx: Option<u64>,
    /// Unix seconds.
    pub created: u64,
    /// Its template knows the role `developer`.
    pub knows_developer: bool,
    /// It runs on somebody else's machine, whatever its name says.
    pub remote: bool,
}

/// Ollama writes digests as 64 hex digits, with or without `sha256:`.
pub fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.strip_prefix("sha256:").unwrap_or(text), &mut bytes).ok()?;
    Some(bytes)
}

impl Model {
    /// One of which nothing is known but its name.
    pub fn named(name: ModelName) -> Self {
        Self {
            name,
            digest: None,
            context_length: None,
            num_ctx: None,
            created: 0,
            knows_developer: false,
            remote: false,
        }
    }
}

impl Inventory {
    /// An answer to a probe.
    pub fn answered(models: Vec<Model>) -> Self {
        let index =
            models.iter().enumerate().map(|(at, model)| (model.name.with_tag().into_owned(), at)).collect();
        Self { models, index, up: true, known: true, ..Inventory::default() }
    }

    /// Nothing was heard of it but what it announced.
    pub fn announced(tier: Tier, capacity: Option<Capacity>) -> Self {
        Self { tier: Some(tier), capacity, ..Self::default() }
    }

    /// Somebody else answered: it has nothing for us.
    pub fn of_another(why: String) -> Self {
        Self { known: true, trouble: Some(why), ..Inventory::default() }
    }

    /// The model of this name, the default tag being implied.
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.index.get(name.with_tag().as_ref()).map(|&at| &self.models[at])
    }

    /// What it charges for a model.
    pub fn price(&self, name: &ModelName) -> Price {
        self.prices.get(name.with_tag().as_ref()).copied().unwrap_or(Price::COMMON)
    }

    /// All of them, in the order in which they were named.
    pub fn models(&self) -> &[Model] {
        &self.models
    }
}
