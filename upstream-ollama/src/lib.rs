//! What Lobstah knows of Ollama.
//!
//! - [`request`]: the few fields of a request that we read, and the few changes that it needs,
//!   made in place so that all else stays byte for byte;
//! - [`usage`]: the token counts of an answer, and how to take them out where the tool did not ask;
//! - [`context`]: whether a prompt fits the context that a model runs with;
//! - [`native`]: a request put to Ollama's own API, where one can say how much context is wanted;
//! - [`Ollama`]: a client of its own API: what it has, what is loaded, is it alive;
//! - [`practice`]: a built-in engine that speaks Ollama's API and is no model at all, for the demo and
//!   for tests.
//!
//! **Invariant:** this crate knows neither pingora nor the command line, and never decides where a
//! request goes.

pub mod context;
pub mod native;
pub mod practice;
pub mod request;
pub mod usage;

mod details;
mod edits;
mod endpoint;
mod error;
mod members;
mod models;
mod probe;

pub use details::Details;
pub use endpoint::Ollama;
pub use error::EngineError;
pub use models::{LoadedModel, Model, is_cloud};
pub use practice::Practice;
pub use request::{BadBody, Changes, RequestView, without_metadata};
pub use usage::Stripped;
