//! `lobstah.toml`: what may be typed, what it means, and where each value came from (SPEC section 9).
//!
//! The way of a value: a layer (defaults, file, environment, flags) is read into `node` trees that
//! remember where everything stands; `structure` compares each tree with the schema that `raw`
//! declares; figment lays the trees over each other; `resolve` turns what was typed into a [`Config`].
//! Every step notes its [`Problem`]s and goes on, so an operator sees them all at once.
//!
//! Only [`load()`] reads a file and only [`Environment::from_process_env`] reads the process: the rest
//! is functions of their arguments. **Invariant:** a default stands in `defaults.toml` and nowhere
//! else, except for the entries of arrays, whose defaults are constants beside their type.

mod document;
mod environment;
mod glob;
mod key;
mod layers;
mod load;
mod node;
mod origins;
mod paths;
mod problem;
mod raw;
mod resolve;
mod resolved;
mod schema;
mod secret;
mod size;
mod source;
mod span;
mod structure;
mod suggest;
mod web;

pub use environment::Environment;
pub use glob::{Glob, NotAGlob};
pub use layers::Flag;
pub use load::{ConfigFile, DEFAULTS, Loaded, load, load_text};
pub use origins::{Origins, Setting};
pub use paths::{HomeUnknown, Paths};
pub use problem::Problem;
pub use raw::{
    RawConfig, RawCredit, RawDiscovery, RawFiles, RawGateway, RawOllama, RawPeer, RawPrice, RawRoute,
    RawSize, RawUpstream, RawWorker,
};
pub use resolved::{
    Config, Credit, Discovery, Files, Gateway, Ollama, Peer, Route, Share, Target, Upstream, Worker,
};
pub use schema::schema;
pub use secret::Secret;
pub use size::{NotASize, parse_size};
pub use source::{Place, Source};
pub use span::{NotASpan, SPAN_MAX, parse_span};
