//! `POST /v1/jobs`: a job is admitted, and kept before it is promised.

use super::holding::Held;
use crate::{
    admit, clock, credit,
    downstream::{Downstream, Gone},
    failure::Failure,
    job_request,
    node::Node,
    worker::Request,
};
use bytes::Bytes;
use protocol::{Order, Requester, Timestamp, Verified, carriers::ORDER_HEADER};
use serde::Serialize;
use std::time::Duration;
use work::{
    Endpoint, JobStatus, Metadata,
    lent::{LentLimits, LentOrder, NewLent, SubmitError, Whose},
};

/// When to come again to a worker whose queue is full: jobs take their time.
const COME_BACK: Duration = Duration::from_secs(15);

/// What is promised.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    job_id: String,
    status: JobStatus,
    created_at: Timestamp,
}

pub(super) async fn serve(node: &Node, down: &mut Downstream) -> Result<(), Gone> {
    if let Some(failure) = node.cannot_keep_receipts() {
        return down.fail_early(&failure).await;
    }
    let body = match admit::read_json(down, node.config().gateway.max_body, &node.body_memory).await {
        Ok(body) => body,
        Err(failure) => return down.fail_early(&failure).await,
    };
    match take_in(node, down, &body.bytes).await {
        Ok(accepted) => down.json(202, &accepted).await,
        Err(failure) => down.fail(&failure).await,
    }
}

async fn take_in(node: &Node, down: &Downstream, body: &Bytes) -> Result<Accepted, Failure> {
    let order = down.header(ORDER_HEADER).map(credit::signed_order).transpose()?;
    let id = order.as_ref().map(|order| order.order_id.to_ascii_lowercase());
    let _door = node.lending.door(id.as_deref()).await;
    if let (Some(order), Some(id)) = (&order, &id)
        && let Some(known) = before(node, order, id).await?
    {
        return Ok(known);
    }
    let endpoint = job_request::endpoint(down)?;
    let (metadata, request) = read(endpoint, body)?;
    request.is_offered(node).await?;
    let asked = credit::Asked { body, ..request.asked(node) };
    let admitted = credit::admit(node, down, &asked).await?;
    let now = clock::now();
    let order = admitted.order.as_deref().map(|(order, sha256)| LentOrder {
        id: order.order_id.to_ascii_lowercase(),
        signed: order.to_json(),
        sha256: *sha256,
        answer_by: order.answer_by,
    });
    let model = request.view.model.clone();
    let whose = Whose::Other(admitted.requester);
    let job = NewLent { whose, order, endpoint, model, metadata, body: body.to_vec() };
    // If it is not kept, what was admitted is dropped, and its credits are released.
    let kept = node.work.lent().submit(job, LentLimits::default(), now).await;
    let id = kept.map_err(|error| not_kept(node, &error))?;
    node.lending.hold(id.clone(), Held { reservation: admitted.reservation, price: admitted.price });
    node.lending.wake.notify_one();
    Ok(Accepted { job_id: id, status: JobStatus::Queued, created_at: now })
}

/// The job that this very order brought before: a requester that did not hear of it asks again.
async fn before(node: &Node, order: &Verified<Order>, id: &str) -> Result<Option<Accepted>, Failure> {
    let found = node.work.lent().get(id).await;
    let Some(view) = found.map_err(|error| Failure::Internal { message: error.to_string() })? else {
        return Ok(None);
    };
    let same = view.whose == Whose::Other(Requester::Node(order.requester))
        && view.order_sha256 == Some(order.signed().sha256());
    if !same {
        return Err(Failure::OrderUsed);
    }
    let record = super::reading::shown(view);
    Ok(Some(Accepted { job_id: record.job_id, status: record.status, created_at: record.created_at }))
}

/// The request as the engine is to get it, and what goes back with the record.
fn read(endpoint: Endpoint, body: &Bytes) -> Result<(Metadata, Request), Failure> {
    let (metadata, body) = job_request::split(body)?;
    let request = Request::read(endpoint.path(), body, Vec::new())?;
    if request.view.stream {
        return Err(Failure::invalid_value("stream", "nobody waits for a job: leave `stream` out"));
    }
    Ok((metadata, request))
}

fn not_kept(node: &Node, error: &SubmitError) -> Failure {
    match error {
        SubmitError::QueueFull | SubmitError::YoursFull | SubmitError::BytesFull => {
            Failure::Busy { retry_after: node.engine.retry_after().max(COME_BACK) }
        }
        SubmitError::OrderUsed => Failure::OrderUsed,
        SubmitError::Store(error) => node.cannot_write(&error.to_string()),
    }
}
