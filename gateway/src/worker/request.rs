//! What others ask of the engine: read once, the same for a request that somebody waits for and for a job.

use super::offers;
use crate::{
    attempt::{Ask, Timeouts},
    books::Serving,
    credit::{self, Admitted},
    failure::Failure,
    node::Node,
    own_engine,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use protocol::ModelName;
use std::time::Duration;
use upstream_ollama::{BadBody, Changes, RequestView};

/// A request whose body was read.
pub struct Request {
    /// Of the engine's route.
    pub path: &'static str,
    pub view: RequestView,
    pub body: Bytes,
    /// The few headers that go on.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
}

impl Request {
    /// Reads a body; whether this worker has the model is not asked.
    pub fn read(
        path: &'static str,
        body: Bytes,
        forwarded: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Self, BadBody> {
        Ok(Self { path, view: RequestView::read(&body)?, body, forwarded })
    }

    /// Refuses a model that this worker does not lend, and a prompt that surely has no room in it.
    pub async fn is_offered(&self, node: &Node) -> Result<(), Failure> {
        let (model, local) = (&self.view.model, node.upstreams.local());
        if local.serves(model) != Some(true) {
            node.prober.if_older(local, Duration::from_secs(1)).await;
        }
        // An engine that was never heard of may have it: it is asked, and says so itself if not.
        let offered = local.with_model(model, |model| offers(&node.config().worker, model));
        let unheard = local.serves(model).is_none() && node.config().worker.offers(model.as_str());
        if !offered.unwrap_or(unheard) {
            return Err(Failure::ModelNotFound { model: model.clone(), near: Vec::new() });
        }
        own_engine::refuse_too_long(node, model, self.path, &self.body)
            .map_err(|too_long| Failure::too_long(self.path, too_long))
    }

    /// What credit is asked for it.
    pub fn asked(&self, node: &Node) -> credit::Asked<'_> {
        credit::Asked {
            view: &self.view,
            body: &self.body,
            makes_text: self.path != "/v1/embeddings",
            digest: digest(node, &self.view.model),
        }
    }

    /// Its books.
    pub fn serving<'a>(&self, node: &'a Node, admitted: Admitted) -> Serving<'a> {
        let view = &self.view;
        let digest = digest(node, &view.model);
        let prompt_bytes = self.body.len() as u64;
        Serving::new(node, admitted, view.model.clone(), digest, prompt_bytes, view.include_usage)
    }

    /// What the engine is asked: at most so much of it, and for so long.
    pub fn ask(&self, node: &Node, output_max: Option<u64>, max_time: Duration) -> Ask<'_> {
        let knows_developer =
            node.upstreams.local().with_model(&self.view.model, |model| model.knows_developer);
        let changes = Changes {
            ask_usage: true,
            max_tokens_name: true,
            max_tokens_cap: output_max,
            developer_as_system: !knows_developer.unwrap_or(false),
            ..Changes::default()
        };
        Ask {
            path: self.path,
            body: self.view.apply(&self.body, &changes),
            model: &self.view.model,
            output_wanted: self.view.max_output,
            native: None,
            requester: None,
            order: None,
            authorization: None,
            forwarded: &self.forwarded,
            streamed: self.view.stream,
            timeouts: Timeouts { first_byte: max_time, silence: None, answer: max_time },
        }
    }
}

fn digest(node: &Node, model: &ModelName) -> Option<[u8; 32]> {
    node.upstreams.local().with_model(model, |model| model.digest).flatten()
}
