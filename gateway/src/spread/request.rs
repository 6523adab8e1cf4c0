//! The request of a task, as its upstreams get it.

use crate::{candidates::Sought, inference, node::Node, upstream::Upstream};
use bytes::Bytes;
use config::{Config, Route, Target};
use protocol::ModelName;
use upstream_ollama::{BadBody, RequestView};
use work::{
    Endpoint, StoreError,
    tasks::{BodyError, WaitingTask},
};

/// A request that was read.
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) view: RequestView,
    pub(super) body: Bytes,
    pub(super) route: Route,
    /// The longest answer that is ordered of a peer.
    pub(super) output_max: u64,
}

/// Why there is none.
pub(super) enum NoRequest {
    /// Its task has ended.
    Gone,
    /// It is wrong, and nobody needs to be asked: code and message.
    Wrong(&'static str, String),
    /// Not now.
    Store(StoreError),
}

impl From<BodyError> for NoRequest {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Gone => NoRequest::Gone,
            BodyError::Changed => NoRequest::Wrong("invalid_file", error.to_string()),
            BodyError::Store(error) => NoRequest::Store(error),
        }
    }
}

impl From<BadBody> for NoRequest {
    fn from(bad: BadBody) -> Self {
        NoRequest::Wrong(bad.code(), bad.to_string())
    }
}

impl Request {
    /// Reads the request of a task, with the settings that are in force now.
    pub(super) async fn of(node: &Node, task: &WaitingTask) -> Result<Self, NoRequest> {
        let body = Bytes::from(node.work.tasks().body(task.id).await?);
        let view = RequestView::read(&body)?;
        let config = node.config();
        let route = route_of(&config, &task.model, task.terms.as_ref().and_then(|terms| terms.to.as_deref()));
        let output_max = inference::output_max(&view, task.endpoint.path(), &config);
        Ok(Self { endpoint: task.endpoint, view, body, route, output_max })
    }

    pub(super) fn sought(&self) -> Sought<'_> {
        Sought { model: &self.view.model, route: &self.route, streamed: false }
    }

    /// The body that this upstream gets.
    pub(super) fn body_for(&self, upstream: &Upstream) -> Bytes {
        self.sought().body_for(upstream, &self.view, &self.body)
    }
}

/// The route of a model, narrowed by a batch's own word on where its lines may go.
pub(super) fn route_of(config: &Config, model: &ModelName, to: Option<&[String]>) -> Route {
    let route = config.route_for(model.as_str()).into_owned();
    match to {
        None => route,
        Some(to) => route.narrowed(&to.iter().map(|name| Target::named(name)).collect::<Vec<_>>()),
    }
}
