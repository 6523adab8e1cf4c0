//! One task at one upstream, from its lease to its landing.

use super::{
    Spread,
    came::Came,
    landing::Landing,
    request::{NoRequest, Request},
};
use crate::{
    asynchronous::jobs, candidates::Measured, clock, orders, orders::Placed, slots::Slot, upstream::Upstream,
};
use protocol::{Credits, Timestamp};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::{
    StoreError,
    tasks::{LeaseError, LeaseId, NewLease, WaitingTask},
};

/// After the store could not be used.
const REST: Duration = Duration::from_secs(1);

/// A task that was given a place.
pub(super) struct Flight {
    pub(super) task: WaitingTask,
    pub(super) upstream: Arc<Upstream>,
    pub(super) slot: Slot,
    /// The upstream has seen the task's opening.
    pub(super) warm: bool,
    /// A second try of a task that runs elsewhere.
    pub(super) hedge: bool,
}

/// A lease of this process.
pub(super) struct Leased {
    pub(super) id: LeaseId,
    /// The task is not wanted any more.
    pub(super) cancel: CancellationToken,
    pub(super) since: Instant,
}

impl Spread<'_> {
    /// Asks the upstream for the task, whatever comes of it. Whether it was leased.
    pub(super) async fn fly(&self, flight: Flight) -> bool {
        let request = match Request::of(self.node, &flight.task).await {
            Ok(request) => request,
            Err(none) => {
                self.no_request(&flight.task, none).await;
                return false;
            }
        };
        let measured = Measured::new(request.endpoint.path(), &request.body);
        if let Some(too_long) = request.sought().has_no_room(&flight.upstream, &measured)
            && self.past.lock().had_no_room(flight.task.id, &flight.upstream.name, too_long)
        {
            self.node.work_now.notify_one();
            return false;
        }
        match orders::wanted(self.node, &flight.upstream) {
            Some(worker) => self.by_order(flight, request, worker).await,
            None => self.at_engine(flight, request).await,
        }
    }

    async fn no_request(&self, task: &WaitingTask, none: NoRequest) {
        match none {
            NoRequest::Gone => {}
            NoRequest::Store(error) => self.rest(&error).await,
            NoRequest::Wrong(code, message) => {
                self.node.metrics.task("refused");
                if let Err(error) =
                    self.node.work.tasks().give_up(task.id, (code, &message), clock::now()).await
                {
                    tracing::debug!(%error, task = %task.id, "a task that cannot be sent");
                }
                jobs::over(self.node, task.id);
            }
        }
    }

    /// A store that cannot be used now is not asked for the same task at once again.
    async fn rest(&self, error: &StoreError) {
        tracing::warn!(%error, "a task is left alone for a moment");
        tokio::select! {
            () = sleep(REST) => {}
            () = self.node.stopping.cancelled() => {}
        }
    }

    pub(super) fn new_lease(
        &self,
        flight: &Flight,
        order_id: Option<String>,
        reserved: Credits,
        answer_by: Option<Timestamp>,
    ) -> NewLease {
        let worker = flight.upstream.name.clone();
        NewLease {
            task: flight.task.id,
            worker,
            order_id,
            reserved,
            answer_by,
            warm: flight.warm,
            hedge: flight.hedge,
        }
    }

    /// Leases; a lease that is open can be cancelled from now on.
    pub(super) async fn lease(&self, flight: &Flight, lease: NewLease) -> Option<Leased> {
        let leased = self.node.work.tasks().lease(lease, clock::now()).await;
        self.leasing.lock().remove(&flight.task.id);
        match leased {
            Ok(id) => {
                let cancel = CancellationToken::new();
                self.open.lock().insert(id, cancel.clone());
                Some(Leased { id, cancel, since: Instant::now() })
            }
            Err(LeaseError::OverBudget { .. }) => {
                self.wait_for_money(&flight.task);
                None
            }
            // Another process, or its owner, was quicker.
            Err(LeaseError::NotWaiting) => None,
            Err(LeaseError::Store(error)) => {
                self.rest(&error).await;
                None
            }
            Err(error @ (LeaseError::OrderUsed | LeaseError::BadName)) => {
                tracing::error!(%error, task = %flight.task.id, "a task is not leased");
                None
            }
        }
    }

    pub(super) async fn came_down(
        &self,
        flight: Flight,
        lease: &Leased,
        placed: Option<&Placed>,
        came: Came,
    ) {
        let Flight { task, upstream, slot, .. } = flight;
        let in_flight = upstream.lane.in_flight();
        // The upstream is done with it; the books are ours.
        drop(slot);
        let took = Some(lease.since.elapsed());
        let landing =
            Landing { lease: lease.id, task: &task, upstream: Some(&upstream), placed, took, in_flight };
        self.land(&landing, came).await;
    }
}
