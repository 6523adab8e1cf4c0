//! The practice engine: a server that speaks Ollama's API and is no model at all.
//!
//! It stands in for Ollama in the demo and in tests, quirks included: `max_completion_tokens` is
//! ignored, 0 is no limit, `/v1` cuts a prompt that is too long and says nothing, `/v1/completions` sends a usage of zeros with every chunk. Its text is drawn
//! from a list of words and begins by saying so. It is deterministic and reads no clock: the same
//! question gets the same bytes. What goes wrong, and when, is set through its [`Handle`], or in the
//! model's name where no handle reaches: `practice:8b-d20-s200-l500` takes 500 ms to the first of 200
//! tokens and 20 ms to each other; `-e503` fails, `-h5` hangs and `-c5` cuts the connection after 5.

mod answer;
mod behaviour;
mod chat;
mod completion;
mod context;
mod embedding;
mod engine;
mod exchange;
mod handle;
mod names;
mod native;
mod native_text;
mod openai;
mod question;
mod routes;
mod running;
mod schema;
mod socket;
mod stream;
mod talk;
mod text;
mod words;

pub use behaviour::{Behaviour, Pace, Trouble, UsageStyle};
pub use context::Contexts;
pub use engine::{Counts, Recorded};
pub use handle::Handle;
pub use running::Running;

use protocol::ModelName;
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

/// The models of an engine for which none are named.
pub const MODELS: [&str; 3] = ["practice:1b", "practice:8b", "practice-embed:latest"];

/// What `/api/version` says.
pub const VERSION: &str = "0.0.0-practice";

/// An engine that is not running yet.
#[derive(Clone, Debug)]
pub struct Practice {
    models: Vec<ModelName>,
    pace: Pace,
    contexts: Contexts,
}

impl Default for Practice {
    fn default() -> Practice {
        let models = MODELS.iter().filter_map(|name| name.parse().ok()).collect();
        Practice { models, pace: Pace::default(), contexts: Contexts::default() }
    }
}

impl Practice {
    /// [`MODELS`], and every answer at once.
    pub fn builder() -> Practice {
        Practice::default()
    }

    /// Claims to have these. One with `embed` in its name makes embeddings and nothing else.
    pub fn models(self, models: impl IntoIterator<Item = ModelName>) -> Practice {
        Practice { models: models.into_iter().collect(), ..self }
    }

    /// How much of a prompt its models read.
    pub fn contexts(self, contexts: Contexts) -> Practice {
        Practice { contexts, ..self }
    }

    /// 0 for as fast as it goes.
    pub fn tokens_per_second(mut self, tokens: u32) -> Practice {
        self.pace.per_token = Duration::from_secs(1).checked_div(tokens).unwrap_or_default();
        self
    }

    pub fn first_token_delay(mut self, delay: Duration) -> Practice {
        self.pace.first_token = delay;
        self
    }

    /// Runs on a free port of 127.0.0.1. Needs a tokio runtime, as [`Practice::serve`] does.
    pub fn start(self) -> io::Result<Running> {
        self.serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
    }

    /// Runs until what this returns is stopped or dropped.
    pub fn serve(self, listener: TcpListener) -> io::Result<Running> {
        Running::start(self, listener)
    }
}
