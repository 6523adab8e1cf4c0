//! Whether Ollama is alive.

use crate::{EngineError, Ollama};
use serde::Deserialize;

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Ollama {
    /// Its version: the cheapest question that only a living Ollama answers.
    pub async fn version(&self) -> Result<String, EngineError> {
        let answer: Version = self.get("/api/version").await?;
        Ok(answer.version)
    }
}
