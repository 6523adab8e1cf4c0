//! Practice engines, which stand in for Ollama and obey their handle.

use std::time::Duration;
use upstream_ollama::Practice;
pub use upstream_ollama::practice::{
    Behaviour, Contexts, Counts, Handle, Pace, Running as Engine, Trouble, UsageStyle,
};

/// The model that stories ask for.
pub const MODEL: &str = "practice:8b";

/// Stories that are not about contexts have enough of it.
const PLENTY: Contexts =
    Contexts { by_default: 1 << 30, in_modelfile: true, trained: 1 << 30, refuses: true };

/// One in good health that answers at once.
pub fn engine() -> Engine {
    engine_of(PLENTY)
}

/// One that has these models.
pub fn engine_with(models: &[&str]) -> Engine {
    crate::client::provide_crypto();
    let models = models.iter().map(|name| name.parse().unwrap());
    Practice::builder().contexts(PLENTY).models(models).start().unwrap()
}

/// One whose models run with this much context.
pub fn engine_of(contexts: Contexts) -> Engine {
    crate::client::provide_crypto();
    Practice::builder().contexts(contexts).start().unwrap()
}

/// So many tokens, one each `per_token`.
pub fn pace(tokens: u64, per_token: Duration) -> Behaviour {
    let pace = Pace { first_token: Duration::ZERO, per_token };
    Behaviour { pace: Some(pace), answer_tokens: Some(tokens), ..Behaviour::default() }
}

/// Waits until the engine's counts are as wanted.
pub async fn counts(engine: &Engine, what: &str, wanted: impl FnMut(&Counts) -> bool) -> Counts {
    match tokio::time::timeout(crate::patience::PATIENCE, engine.handle.wait_until(wanted)).await {
        Ok(counts) => counts,
        Err(_) => panic!("the engine never saw {what}: {:?}", engine.handle.counts()),
    }
}

/// The bodies of the requests that it got for chat completions, the oldest first.
pub fn bodies(engine: &Engine) -> Vec<String> {
    let requests = engine.handle.requests_to("/v1/chat/completions");
    requests.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
}
