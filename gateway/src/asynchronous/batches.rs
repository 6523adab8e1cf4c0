//! `/v1/batches` and below, at the gateway: OpenAI's batches. Their lines are read, and their files
//! written, by [`super::paperwork`].

mod progress;

pub use progress::{Lane, Report, progress};

use super::{
    answer::{no_route, not_allowed, object, object_or_early},
    query::Query,
    refusal,
};
use crate::{
    admit, clock,
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use config::{Config, Target};
use http::Method;
use serde::Serialize;
use work::{
    Idempotency,
    batches::{Batch, NewBatch},
    limits::BATCHES_LISTED_MAX,
};

/// `rest` is what follows `/v1/batches`: empty, or begins with a slash.
pub async fn serve(node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    let method = down.session.req_header().method.clone();
    let reading = matches!(method, Method::GET | Method::HEAD);
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (parts.as_slice(), method) {
        ([], Method::POST) => {
            let created = create(node, down).await;
            object_or_early(down, created).await
        }
        ([], _) if reading => {
            let listed = list(node, &Query::of(down)).await;
            object(down, listed).await
        }
        ([], _) => not_allowed(down, "GET, HEAD, POST").await,
        ([id], _) if reading => object(down, get(node, id).await).await,
        ([_], _) => not_allowed(down, "GET, HEAD").await,
        ([id, "cancel"], Method::POST) => {
            let cancelled = node.work.batches().cancel(id, clock::now()).await;
            node.work_now.notify_one();
            object_or_early(down, cancelled.map_err(|error| refusal::stop(error, id))).await
        }
        ([_, "cancel"], _) => not_allowed(down, "POST").await,
        _ => no_route(down, &format!("/v1/batches{rest}")).await,
    }
}

async fn create(node: &Node, down: &mut Downstream) -> Result<Batch, Failure> {
    let body = admit::read_json(down, node.config().gateway.max_body, &node.body_memory).await?;
    let key = idempotency(down, &body.bytes)?;
    let new = NewBatch::parse(&body.bytes, key).map_err(refusal::batch_request)?;
    new.to.as_deref().map_or(Ok(()), |to| may_go_to(&node.config(), to))?;
    let created = node.work.batches().create(new, clock::now()).await.map_err(refusal::create)?;
    node.validate_now.notify_one();
    Ok(created.into_inner())
}

/// A batch narrows the routes of its models: where no route leads it cannot go.
fn may_go_to(config: &Config, to: &[String]) -> Result<(), Failure> {
    let targets: Vec<_> = to.iter().map(|name| Target::named(name)).collect();
    let refused = |message| Err(Failure::invalid_value("metadata.to", message));
    if let Some(unknown) = targets.iter().find(|target| !config.is_known(target)) {
        return refused(format!("`{unknown}` is neither local, friends, network nor one of [[upstreams]]"));
    }
    if !targets.iter().any(|target| config.leads_to(target)) {
        return refused(format!("no route of this node leads to {}; add one to lobstah.toml", to.join(", ")));
    }
    Ok(())
}

/// The key with which a request may come twice, if it has one.
pub(super) fn idempotency(down: &Downstream, body: &[u8]) -> Result<Option<Idempotency>, Failure> {
    let Some(key) = down.session.get_header("idempotency-key") else { return Ok(None) };
    // What is no text is no key: the empty one is refused.
    let key = Idempotency::new(key.to_str().unwrap_or_default(), body);
    key.map(Some).map_err(refusal::idempotency)
}

async fn get(node: &Node, id: &str) -> Result<Batch, Failure> {
    let batch = node.work.batches().get(id).await.map_err(refusal::store)?;
    batch.ok_or_else(|| refusal::unknown("batch", id))
}

async fn list(node: &Node, query: &Query) -> Result<impl Serialize + use<>, Failure> {
    let limit = query.number("limit", 1..=BATCHES_LISTED_MAX)?;
    let after = query.text("after").map(str::to_owned);
    node.work.batches().list(after, limit).await.map_err(refusal::list)
}
