//! `GET /v1/jobs/{id}`: how far a job is, at once or when it has ended.

use super::is_over;
use crate::{
    collecting,
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use protocol::Requester;
use std::time::Duration;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep},
};
use work::{
    JobRecord, JobStatus,
    lent::{LentView, Whose},
};

/// The longest that who asks with `?wait=` is kept waiting; it asks again.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Whoever waits looks this often for itself: another process of this home may have ended the job.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn serve(node: &Node, down: &mut Downstream, id: &str) -> Result<(), Gone> {
    let wait = match wait(down) {
        Ok(wait) => wait,
        Err(failure) => return down.fail(&failure).await,
    };
    if let Err(failure) = readable(node, down, "GET", id).await {
        return down.fail(&failure).await;
    }
    match down.attend(false, until_over(node, id, wait)).await? {
        Ok(record) => down.json(200, &record).await,
        Err(failure) => down.fail(&failure).await,
    }
}

/// How long the requester is willing to wait.
fn wait(down: &Downstream) -> Result<Duration, Failure> {
    let query = down.session.req_header().uri.query().unwrap_or_default();
    let Some((_, text)) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "wait") else {
        return Ok(Duration::ZERO);
    };
    let seconds = text.parse().ok().filter(|seconds| (1..=WAIT_MAX.as_secs()).contains(seconds));
    let refused = || format!("wait is a number of seconds from 1 to {}", WAIT_MAX.as_secs());
    seconds.map(Duration::from_secs).ok_or_else(|| Failure::invalid_value("wait", refused()))
}

/// A job, and whether its requester itself asks: [`Asks::Requester`] proves it, [`Asks::Anybody`] has the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Requester,
    Anybody,
}

/// Whether who asks may see the job. One with an order is shown to who signed that; to others it is not there.
pub(super) async fn readable(
    node: &Node,
    down: &Downstream,
    method: &str,
    id: &str,
) -> Result<Asks, Failure> {
    let view = find(node, id).await?;
    let path = down.session.req_header().uri.path();
    let asks = collecting::requester(node, down, method, path);
    match asks {
        Ok(who) if view.whose == Whose::Other(Requester::Node(who)) => Ok(Asks::Requester),
        Err(failure) if view.ordered() => Err(failure),
        Ok(_) if view.ordered() => Err(unknown(id)),
        _ => Ok(Asks::Anybody),
    }
}

/// The record when the job has ended, or as it is when the time is over or the node stops.
pub(super) async fn until_over(node: &Node, id: &str, wait: Duration) -> Result<JobRecord, Failure> {
    let mut ended = node.lending.ended.subscribe();
    let deadline = Instant::now() + wait;
    loop {
        let view = find(node, id).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if is_over(&view) || left.is_zero() || node.stopping.is_cancelled() {
            return Ok(shown(view));
        }
        tokio::select! {
            () = heard(&mut ended, id) => {}
            () = sleep(left.min(LOOK_EVERY)) => {}
            () = node.stopping.cancelled() => {}
        }
    }
}

/// Resolves when this job may have ended.
async fn heard(ended: &mut broadcast::Receiver<String>, id: &str) {
    loop {
        match ended.recv().await {
            Ok(other) if other != id => {}
            // So many ended that some were not heard of.
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn find(node: &Node, id: &str) -> Result<LentView, Failure> {
    let found = node.work.lent().get(id).await;
    found.map_err(|error| Failure::Internal { message: error.to_string() })?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Failure {
    Failure::NotFound { what: format!("the job {id}") }
}

/// The record as its requester may see it: a job whose receipt is not claimed yet still runs. What was
/// acknowledged sooner would be refused.
pub(super) fn shown(view: LentView) -> JobRecord {
    let record = view.record;
    if !view.claim_due {
        return record;
    }
    JobRecord {
        status: JobStatus::Running,
        completed_at: None,
        result: None,
        error: None,
        signed_receipt: None,
        ..record
    }
}
