//! `/v1/files` and below, at the gateway: OpenAI's files.

mod content;
mod range;
mod upload;

use super::{
    answer::{no_route, not_allowed, object},
    query::Query,
    refusal,
};
use crate::{
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use http::Method;
use serde::Serialize;
use work::{
    files::{FilePage, Order, Purpose},
    limits::FILES_LISTED_MAX,
};

/// `rest` is what follows `/v1/files`: empty, or begins with a slash.
pub async fn serve(node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    let method = down.session.req_header().method.clone();
    let reading = matches!(method, Method::GET | Method::HEAD);
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (parts.as_slice(), method) {
        ([], Method::POST) => Box::pin(upload::serve(node, down)).await,
        ([], _) if reading => {
            let listed = list(node, &Query::of(down)).await;
            object(down, listed).await
        }
        ([], _) => not_allowed(down, "GET, HEAD, POST").await,
        ([id], _) if reading => object(down, get(node, id).await).await,
        ([id], Method::DELETE) => {
            let deleted = node.work.files().delete(id).await.map_err(refusal::store);
            let deleted = deleted.and_then(|deleted| deleted.ok_or_else(|| refusal::unknown("file", id)));
            object(down, deleted).await
        }
        ([_], _) => not_allowed(down, "GET, HEAD, DELETE").await,
        ([id, "content"], _) if reading => Box::pin(content::serve(node, down, id)).await,
        ([_, "content"], _) => not_allowed(down, "GET, HEAD").await,
        _ => no_route(down, &format!("/v1/files{rest}")).await,
    }
}

async fn get(node: &Node, id: &str) -> Result<work::files::File, Failure> {
    let file = node.work.files().get(id).await.map_err(refusal::store)?;
    file.ok_or_else(|| refusal::unknown("file", id))
}

async fn list(node: &Node, query: &Query) -> Result<impl Serialize + use<>, Failure> {
    let page = FilePage {
        after: query.text("after").map(str::to_owned),
        limit: query.number("limit", 1..=FILES_LISTED_MAX)?,
        order: match query.text("order") {
            None | Some("desc") => Order::Descending,
            Some("asc") => Order::Ascending,
            Some(_) => return Err(Failure::invalid_value("order", "`order` is `asc` or `desc`")),
        },
        purpose: query.text("purpose").map(purpose).transpose()?,
    };
    node.work.files().list(page).await.map_err(refusal::list)
}

/// A purpose as a form or a query names it.
fn purpose(name: &str) -> Result<Purpose, Failure> {
    let message = "`purpose` is `batch`, or one of OpenAI's others";
    Purpose::from_name(name).ok_or_else(|| Failure::invalid_value("purpose", message))
}
