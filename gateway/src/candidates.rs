//! Who may be asked for a model: the upstreams that a route reaches and that have it.

use crate::{
    node::Node,
    strangers::Wish,
    too_long::TooLong,
    upstream::{Identity, Upstream},
};
use bytes::Bytes;
use config::{Route, Target};
use protocol::{ModelName, Tier};
use std::sync::{Arc, OnceLock};
use upstream_ollama::{
    Changes, RequestView,
    context::{self, Prompt},
};

/// What is looked for.
#[derive(Clone, Copy)]
pub struct Sought<'a> {
    /// By the name that the tool used.
    pub model: &'a ModelName,
    pub route: &'a Route,
    pub streamed: bool,
}

/// How long a prompt is at least: found out if it matters, and once.
pub struct Measured<'a> {
    path: &'a str,
    body: &'a [u8],
    tokens_min: OnceLock<u64>,
}

impl<'a> Measured<'a> {
    pub fn new(path: &'a str, body: &'a [u8]) -> Self {
        Self { path, body, tokens_min: OnceLock::new() }
    }

    /// It has no fewer.
    pub fn tokens_min(&self) -> u64 {
        *self.tokens_min.get_or_init(|| Prompt::measure(self.path, self.body, None).tokens_min())
    }

    fn exceeds(&self, context: u64) -> bool {
        // Few bodies are so long that they need to be read for this.
        context::may_exceed(self.body.len(), context) && self.tokens_min() > context
    }
}

/// One that may be asked: its group's place in the route, and who it is.
pub type Reachable = (usize, Arc<Upstream>);

impl<'a> Sought<'a> {
    /// What local, friends and network are asked for: the route's `use`, if it has one.
    pub fn model_for_peers(&self) -> &'a ModelName {
        self.route.use_model.as_ref().unwrap_or(self.model)
    }

    /// What an upstream is asked for: other servers get the name that the tool used.
    pub fn model_for(&self, upstream: &Upstream) -> &'a ModelName {
        if upstream.server.is_some() { self.model } else { self.model_for_peers() }
    }

    /// The body that this upstream gets.
    pub fn body_for(&self, upstream: &Upstream, view: &RequestView, body: &Bytes) -> Bytes {
        let model = self.model_for(upstream);
        let local = upstream.identity == Identity::Local;
        let changes = Changes {
            model: (*model != view.model).then(|| model.clone()),
            max_tokens_name: local,
            developer_as_system: local
                && !upstream.with_model(model, |model| model.knows_developer).unwrap_or(false),
            ..Changes::default()
        };
        view.apply(body, &changes)
    }

    /// Whether a peer goes to less context than the prompt has tokens by any count: then it is not asked. Other
    /// servers say nothing of it, and the own engine is asked with care ([`crate::own_engine`]).
    pub fn has_no_room(&self, upstream: &Upstream, prompt: &Measured<'_>) -> Option<TooLong> {
        upstream.node()?;
        let context = upstream.with_model(self.model_for_peers(), |model| model.context_length).flatten()?;
        prompt.exceeds(context).then(|| TooLong::passed_over(context, prompt.tokens_min()))
    }

    /// The label that is preferred: the route's, else the one for somebody who watches the answer come.
    pub fn tier(&self) -> Option<Tier> {
        self.route.tier.or(self.streamed.then_some(Tier::Interactive))
    }

    /// Whether it has the model, as far as it said and was seen.
    pub fn has(&self, upstream: &Upstream) -> Option<bool> {
        let model = self.model_for(upstream);
        if upstream.identity == Identity::Local && self.stays_here() && runs_elsewhere(upstream, model) {
            return Some(false);
        }
        upstream.serves(model)
    }

    /// A route that says `local` and nothing else, for more than one name, is a promise that nothing leaves
    /// the machine. A model that Ollama runs in its cloud has to be named in full.
    fn stays_here(&self) -> bool {
        self.route.to == [Target::Local] && self.route.model.is_pattern()
    }

    /// Those of `reachable` that have the model (`Some(true)`), or never said what they have (`None`).
    pub fn who(&self, reachable: &[Reachable], has: Option<bool>) -> Vec<Reachable> {
        reachable.iter().filter(|(_, upstream)| self.has(upstream) == has).cloned().collect()
    }

    /// The best `most` of those who announced the model, where the route goes to the network.
    pub fn strangers(&self, node: &Node, most: usize) -> Vec<Reachable> {
        let Some(place) = self.route.to.iter().position(|group| *group == Target::Network) else {
            return Vec::new();
        };
        let max_price = node.config().gateway.max_price;
        let wish = Wish { tier: self.tier(), spread: node.next_spread(), max_price };
        let best = node.strangers.best(self.model_for_peers(), &wish, most);
        best.into_iter().map(|upstream| (place, upstream)).collect()
    }
}

/// Where a route stands at an upstream: the URL of another server ends in `/v1`, as its SDKs want it.
pub fn path_at(upstream: &Upstream, path: &'static str) -> &'static str {
    if upstream.server.is_some() { &path["/v1".len()..] } else { path }
}

/// Whether Ollama would send the request on to its cloud.
pub fn runs_elsewhere(local: &Upstream, model: &ModelName) -> bool {
    upstream_ollama::is_cloud(model) || local.with_model(model, |model| model.remote).unwrap_or(false)
}
