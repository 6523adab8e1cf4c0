//! What Ollama has: the models on disk, and those in memory.

use crate::{EngineError, Ollama};
use protocol::ModelName;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A model that Ollama can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: ModelName,
    /// Of its manifest: two models with one digest are the same.
    pub digest: Option<String>,
    /// Bytes on disk.
    pub size: Option<u64>,
    /// RFC 3339.
    pub modified_at: Option<String>,
    pub family: Option<String>,
    /// As Ollama writes it, such as `8.0B`.
    pub parameter_size: Option<String>,
    pub quantization: Option<String>,
    /// Ollama passes requests for it on to somebody else's machine.
    pub remote: bool,
}

/// A model that is in memory now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedModel {
    pub name: ModelName,
    pub digest: Option<String>,
    /// Bytes of it that are in the graphics card's memory.
    pub size_vram: Option<u64>,
    /// Tokens of context that it was loaded with.
    pub context_length: Option<u64>,
    /// When it will be unloaded, RFC 3339.
    pub expires_at: Option<String>,
}

impl Ollama {
    /// The models on disk. Entries that cannot be understood are left out.
    pub async fn models(&self) -> Result<Vec<Model>, EngineError> {
        let list: List = self.get("/api/tags").await?;
        Ok(list.entries::<TagsEntry>().map(Model::from).collect())
    }

    /// The models in memory. Entries that cannot be understood are left out.
    pub async fn loaded(&self) -> Result<Vec<LoadedModel>, EngineError> {
        let list: List = self.get("/api/ps").await?;
        Ok(list.entries::<PsEntry>().map(LoadedModel::from).collect())
    }
}

/// Whether a name stands for a model that runs in Ollama's cloud, at its owner's expense. Such a model
/// is never offered to others unless its owner names it.
pub fn is_cloud(name: &ModelName) -> bool {
    let name = name.as_str().to_ascii_lowercase();
    name.ends_with("-cloud") || name.ends_with(":cloud")
}

#[derive(Deserialize)]
struct List {
    models: Option<Vec<Box<RawValue>>>,
}

impl List {
    fn entries<T: DeserializeOwned>(&self) -> impl Iterator<Item = T> {
        self.models.iter().flatten().filter_map(|entry| serde_json::from_str(entry.get()).ok())
    }
}

#[derive(Deserialize)]
struct TagsEntry {
    name: ModelName,
    digest: Option<String>,
    size: Option<u64>,
    modified_at: Option<String>,
    #[serde(default)]
    details: TagsDetails,
    remote_host: Option<String>,
}

#[derive(Default, Deserialize)]
struct TagsDetails {
    family: Option<String>,
    parameter_size: Option<String>,
    quantization_level: Option<String>,
}

impl From<TagsEntry> for Model {
    fn from(entry: TagsEntry) -> Model {
        Model {
            name: entry.name,
            digest: entry.digest,
            size: entry.size,
            modified_at: entry.modified_at,
            family: entry.details.family,
            parameter_size: entry.details.parameter_size,
            quantization: entry.details.quantization_level,
            remote: entry.remote_host.is_some_and(|host| !host.is_empty()),
        }
    }
}

#[derive(Deserialize)]
struct PsEntry {
    name: ModelName,
    digest: Option<String>,
    size_vram: Option<u64>,
    context_length: Option<u64>,
    expires_at: Option<String>,
}

impl From<PsEntry> for LoadedModel {
    fn from(entry: PsEntry) -> LoadedModel {
        let PsEntry { name, digest, size_vram, context_length, expires_at } = entry;
        LoadedModel { name, digest, size_vram, context_length, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_understood_costs_only_itself() {
        let list: List = serde_json::from_str(
            r#"{"models":[{"name":""},7,{"name":"m","size":-1},
                {"name":"llama3.1:8b","digest":"46e0","size":4920753328,"details":{"family":"llama","parameter_size":"8.0B","quantization_level":"Q4_K_M"}},
                {"name":"gpt-oss:120b-cloud","remote_host":"https://ollama.com:443"}]}"#,
        )
        .unwrap();
        let models: Vec<Model> = list.entries::<TagsEntry>().map(Model::from).collect();
        assert_eq!(
            models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(),
            ["llama3.1:8b", "gpt-oss:120b-cloud"]
        );
        assert_eq!(models[0].quantization.as_deref(), Some("Q4_K_M"));
        assert!(!models[0].remote && models[1].remote);
    }

    #[test]
    fn no_models_is_an_empty_list() {
        for text in [r#"{"models":null}"#, r#"{"models":[]}"#] {
            let list: List = serde_json::from_str(text).unwrap();
            assert_eq!(list.entries::<PsEntry>().count(), 0);
        }
    }

    #[test]
    fn cloud_models_are_known_by_their_name() {
        let cloud = |name: &str| is_cloud(&name.parse().unwrap());
        assert!(cloud("gpt-oss:120b-cloud") && cloud("kimi-k2:cloud") && cloud("X:Cloud"));
        assert!(!cloud("cloud") && !cloud("cloudy:8b") && !cloud("my-cloud:8b"));
    }
}
