//! How much context the models of the owner's engine run with, as far as it is known.
//!
//! A Modelfile may say it. Else it is seen when a model is loaded, but what is seen then is what the request that
//! loaded it wanted: it is the default only where nothing but requests through `/v1` was sent there. When in doubt
//! nothing is learnt, and a long prompt goes by the API that refuses and does not cut.

use parking_lot::Mutex;
use protocol::ModelName;
use std::collections::HashMap;
use upstream_ollama::{
    LoadedModel,
    context::{Known, Room},
};

/// Of so many models it is remembered; of those beyond it nothing is learnt.
const MODELS_MAX: usize = 4096;

/// The memory.
#[derive(Debug, Default)]
pub struct Contexts {
    /// By the name with its tag made explicit.
    models: Mutex<HashMap<String, Seen>>,
    api: Mutex<OwnApi>,
}

/// Whether the engine has Ollama's own API. Others that speak OpenAI's stand in Ollama's place too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnApi {
    /// It was never asked.
    #[default]
    Unknown,
    Answers,
    /// It did not answer there, and did through `/v1`.
    Missing,
}

/// What was seen of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// What it runs with where nobody says otherwise.
    by_default: Option<u64>,
    /// What it is loaded with.
    loaded: Option<u64>,
    /// What we asked for last, saying how much.
    asked: Option<u64>,
    /// It answered a request that said nothing.
    answered_plain: bool,
}

impl Seen {
    /// `context`: what it is loaded with now, or that it is not.
    fn saw(&mut self, context: Option<u64>) {
        self.loaded = context;
        let Some(context) = context else { return };
        if self.answered_plain && self.asked.is_none() {
            self.by_default = Some(context);
        } else {
            // Somebody's own wish, or a default that was lowered: less is never too little.
            self.by_default = self.by_default.map(|known| known.min(context));
        }
    }
}

impl Contexts {
    /// The room of a model that was trained for `trained` and whose Modelfile says `num_ctx`.
    pub fn room(
        &self,
        model: &ModelName,
        trained: Option<u64>,
        num_ctx: Option<u64>,
        max_context: u64,
    ) -> Room {
        let seen = self.models.lock().get(model.with_tag().as_ref()).copied().unwrap_or_default();
        let by_default = num_ctx.or(seen.by_default);
        Room::new(Known { trained, by_default, loaded: seen.loaded, asked: seen.asked }, max_context)
    }

    /// The engine is asked to run it with so much.
    pub fn asks(&self, model: &ModelName, num_ctx: u64) {
        self.change(model, |seen| (seen.asked, seen.loaded) = (Some(num_ctx), Some(num_ctx)));
    }

    /// It answered a request that did not say with how much.
    pub fn answered_plain(&self, model: &ModelName) {
        self.change(model, |seen| seen.answered_plain = true);
    }

    /// Whether the engine has Ollama's own API.
    pub fn own_api(&self) -> OwnApi {
        *self.api.lock()
    }

    /// It was seen whether it has. Once it answered there, it does.
    pub fn saw_api(&self, api: OwnApi) {
        let mut seen = self.api.lock();
        if *seen != OwnApi::Answers {
            *seen = api;
        }
    }

    /// What is loaded now.
    pub fn saw(&self, loaded: &[LoadedModel]) {
        let now: HashMap<_, _> =
            loaded.iter().map(|model| (model.name.with_tag(), model.context_length)).collect();
        for (name, seen) in self.models.lock().iter_mut() {
            seen.saw(now.get(name.as_str()).copied().flatten());
        }
        for model in loaded {
            self.change(&model.name, |seen| seen.loaded = model.context_length);
        }
    }

    fn change(&self, model: &ModelName, change: impl FnOnce(&mut Seen)) {
        let mut models = self.models.lock();
        let room = models.len() < MODELS_MAX;
        let name = model.with_tag();
        match models.get_mut(name.as_ref()) {
            Some(seen) => change(seen),
            None if room => change(models.entry(name.into_owned()).or_default()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelName {
        "llama3.1".parse().unwrap()
    }

    fn loaded(context: u64) -> Vec<LoadedModel> {
        vec![LoadedModel {
            name: "llama3.1:latest".parse().unwrap(),
            digest: None,
            size_vram: None,
            context_length: Some(context),
            expires_at: None,
        }]
    }

    fn in_use(contexts: &Contexts) -> Option<u64> {
        contexts.room(&model(), None, None, 1).in_use()
    }

    #[test]
    fn the_default_is_what_a_model_runs_with_that_only_plain_requests_loaded() {
        let contexts = Contexts::default();
        contexts.saw(&loaded(16_384));
        assert_eq!(in_use(&contexts), None, "somebody else may have asked for it");
        contexts.answered_plain(&model());
        contexts.saw(&loaded(4096));
        assert_eq!(in_use(&contexts), Some(4096));
        contexts.asks(&model(), 16_384);
        contexts.saw(&loaded(16_384));
        assert_eq!(in_use(&contexts), Some(4096));
        contexts.saw(&loaded(2048));
        assert_eq!(in_use(&contexts), Some(2048), "less is never too little");
    }

    #[test]
    fn after_we_asked_for_more_nothing_is_learnt() {
        let contexts = Contexts::default();
        contexts.asks(&model(), 16_384);
        contexts.answered_plain(&model());
        contexts.saw(&loaded(16_384));
        assert_eq!(in_use(&contexts), None);
    }

    #[test]
    fn a_modelfile_goes_before_what_was_seen() {
        let contexts = Contexts::default();
        contexts.answered_plain(&model());
        contexts.saw(&loaded(4096));
        assert_eq!(contexts.room(&model(), None, Some(8192), 1).in_use(), Some(8192));
        assert_eq!(contexts.room(&model(), Some(2048), Some(8192), 1).in_use(), Some(2048));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let contexts = Contexts::default();
        for at in 0..MODELS_MAX + 10 {
            contexts.answered_plain(&format!("m{at}").parse().unwrap());
        }
        assert_eq!(contexts.models.lock().len(), MODELS_MAX);
    }
}
