//! `DELETE /v1/jobs/{id}`: what waits costs nothing, what runs is cut and paid for.

use super::reading::{self, Asks};
use crate::{
    clock,
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use std::time::Duration;
use work::{
    JobRecord, JobStatus,
    lent::{CancelLentError, LentCancel},
};

/// How long a cut may take until its record is given as it is then: a receipt is signed and kept.
const CUT_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn serve(node: &Node, down: &mut Downstream, id: &str) -> Result<(), Gone> {
    let asks = match reading::readable(node, down, "DELETE", id).await {
        Ok(asks) => asks,
        Err(failure) => return down.fail(&failure).await,
    };
    match cancel(node, id, asks).await {
        Ok(record) => down.json(200, &record).await,
        Err(failure) => down.fail(&failure).await,
    }
}

async fn cancel(node: &Node, id: &str, asks: Asks) -> Result<JobRecord, Failure> {
    let now = reading::until_over(node, id, Duration::ZERO).await?;
    if now.status == JobStatus::Running && asks == Asks::Anybody {
        return Err(over());
    }
    match node.work.lent().cancel(id, clock::now()).await {
        Ok(LentCancel::Cancelled) => {
            drop(node.lending.take_held(id));
            node.lending.over(id);
            reading::until_over(node, id, Duration::ZERO).await
        }
        Ok(LentCancel::Cutting) => {
            node.lending.cut(id);
            let record = reading::until_over(node, id, CUT_WITHIN).await?;
            // It came to its end before it could be cut.
            let came_too_late = record.status == JobStatus::Done;
            if came_too_late { Err(over()) } else { Ok(record) }
        }
        Err(CancelLentError::NotCancellable) => Err(over()),
        Err(CancelLentError::NotFound) => Err(Failure::NotFound { what: format!("the job {id}") }),
        Err(CancelLentError::Store(error)) => Err(Failure::Internal { message: error.to_string() }),
    }
}

fn over() -> Failure {
    let message = "this job is over, or runs for somebody else; there is nothing to cancel".to_owned();
    Failure::NotCancellable { message }
}
