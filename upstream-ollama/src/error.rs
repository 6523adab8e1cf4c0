//! Why Ollama's own API gave no answer.

use protocol::ModelName;
use url::Url;

/// What is wrong with the engine, and what its owner can do about it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("Ollama at {url} does not answer; start it with `ollama serve`, or correct `ollama.url`")]
    Unreachable {
        url: Box<Url>,
        #[source]
        source: reqwest::Error,
    },
    #[error("Ollama at {url} took too long over {path}; see what keeps it busy with `ollama ps`")]
    TimedOut { url: Box<Url>, path: &'static str },
    #[error("the model `{model}` is not at Ollama; get it with `ollama pull {model}`")]
    NoSuchModel { model: ModelName },
    #[error("Ollama at {url} answers {path} with {status}: {message}")]
    Refused { url: Box<Url>, path: &'static str, status: u16, message: String },
    #[error("what answers {path} at {url} is not Ollama; correct `ollama.url`")]
    NotOllama {
        url: Box<Url>,
        path: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("Ollama at {url} answers {path} with more than {bytes_max} bytes")]
    TooLong { url: Box<Url>, path: &'static str, bytes_max: usize },
    #[error("no HTTP client for {url}: its TLS cannot be set up")]
    NoClient {
        url: Box<Url>,
        #[source]
        source: reqwest::Error,
    },
}
