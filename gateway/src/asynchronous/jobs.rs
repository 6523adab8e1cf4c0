//! `/v1/jobs` and below, at the gateway: one request each, taken on now and answered when somebody has
//! room (SPEC section 6).

use super::{
    answer::{no_route, not_allowed, object},
    batches::idempotency,
    query::Query,
    refusal,
};
use crate::{
    admit, clock,
    downstream::{Downstream, Gone},
    failure::Failure,
    job_request,
    node::Node,
};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep},
};
use upstream_ollama::RequestView;
use work::{Endpoint, JobRecord, JobStatus, jobs::NewJob, tasks::TaskId};

/// The longest `?wait=`, in seconds.
const WAIT_SECONDS_MAX: u32 = 30;

/// Who waits looks this often for itself: another process of this home may have ended the job.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// `rest` is what follows `/v1/jobs`: empty, or begins with a slash.
pub async fn serve(node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    let method = down.session.req_header().method.clone();
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (parts.as_slice(), method) {
        ([], Method::POST) => submit(node, down).await,
        ([], _) => not_allowed(down, "POST").await,
        ([id], Method::GET | Method::HEAD) => read(node, down, id).await,
        ([id], Method::DELETE) => cancel(node, down, id).await,
        ([_], _) => not_allowed(down, "GET, HEAD, DELETE").await,
        _ => no_route(down, &format!("/v1/jobs{rest}")).await,
    }
}

/// `{"jobId","status":"queued","createdAt"}`
fn receipt_of(job: &JobRecord) -> Value {
    json!({"jobId": job.job_id, "status": job.status, "createdAt": job.created_at})
}

async fn submit(node: &Node, down: &mut Downstream) -> Result<(), Gone> {
    let taken = async {
        let endpoint = job_request::endpoint(down)?;
        let body = admit::read_json(down, node.config().gateway.max_body, &node.body_memory).await?;
        take_on(node, down, endpoint, &body.bytes).await
    };
    match taken.await {
        Ok(job) => down.json(202, &receipt_of(&job)).await,
        Err(failure) => down.fail_early(&failure).await,
    }
}

/// Takes a request on as a job, durable when it resolves. Its `metadata` stays here: the record has it,
/// and no engine sees it.
pub(super) async fn take_on(
    node: &Node,
    down: &Downstream,
    endpoint: Endpoint,
    body: &Bytes,
) -> Result<JobRecord, Failure> {
    // What no engine would take is refused now and not in the night.
    RequestView::read(body)?;
    let idempotency = idempotency(down, body)?;
    let (metadata, body) = job_request::split(body)?;
    let new = NewJob { endpoint, body: body.to_vec(), metadata, idempotency };
    let jobs = node.work.jobs();
    let id = jobs.submit(new, clock::now()).await.map_err(refusal::submit)?.into_inner();
    node.work_now.notify_one();
    get(node, &id).await
}

async fn get(node: &Node, id: &str) -> Result<JobRecord, Failure> {
    let job = node.work.jobs().get(id).await.map_err(refusal::store)?;
    job.ok_or_else(|| refusal::unknown("job", id))
}

async fn read(node: &Node, down: &mut Downstream, id: &str) -> Result<(), Gone> {
    let wait = Query::of(down).number("wait", 1..=WAIT_SECONDS_MAX);
    let found = match wait {
        Err(failure) => Err(failure),
        Ok(None) => get(node, id).await,
        Ok(Some(seconds)) => {
            let until = Instant::now() + Duration::from_secs(seconds.into());
            down.attend(false, ended(node, id, until)).await?
        }
    };
    object(down, found).await
}

/// The job once it is over; as it is when the time is up, or when the node stops.
async fn ended(node: &Node, id: &str, until: Instant) -> Result<JobRecord, Failure> {
    let mut ends = node.jobs_ended.subscribe();
    let task = node.work.jobs().task_of(id).await.map_err(refusal::store)?;
    loop {
        let job = get(node, id).await?;
        let over = matches!(job.status, JobStatus::Done | JobStatus::Error);
        if over || Instant::now() >= until || node.stopping.is_cancelled() {
            return Ok(job);
        }
        tokio::select! {
            () = heard(&mut ends, task) => {}
            () = sleep(LOOK_EVERY) => {}
            () = node.stopping.cancelled() => {}
        }
    }
}

/// A task has ended; who waits for it, if it is a job, may look.
pub fn over(node: &Node, task: TaskId) {
    if task.is_job() {
        // Nobody may be waiting.
        let _ = node.jobs_ended.send(task);
    }
}

/// Resolves when this job may have ended.
async fn heard(ends: &mut broadcast::Receiver<TaskId>, task: Option<TaskId>) {
    loop {
        match ends.recv().await {
            Ok(other) if task.is_some_and(|task| task != other) => {}
            // So many ended that some were not heard of.
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Cancels what waits, and what runs: its worker is told in the background.
async fn cancel(node: &Node, down: &mut Downstream, id: &str) -> Result<(), Gone> {
    let cancelled = node.work.jobs().cancel(id, clock::now()).await;
    node.work_now.notify_one();
    if let Ok(Some(task)) = node.work.jobs().task_of(id).await {
        over(node, task);
    }
    let job = match cancelled {
        Ok(_) => get(node, id).await,
        Err(error) => Err(refusal::cancel_job(error, id)),
    };
    object(down, job).await
}
