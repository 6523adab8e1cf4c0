//! Leases of a process that died: their workers are asked by the order's id, and nothing that has an answer
//! anywhere runs again.

use super::{Going, Spread, at_worker::AtWorker, landing::Landing, request::Request};
use crate::{orders::Placed, upstream::Upstream};
use futures::FutureExt;
use ledger::QueryError;
use protocol::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::tasks::{OpenLease, WaitingTask};

/// A store that cannot be written is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

impl<'n> Spread<'n> {
    /// Takes over what dead processes had leased; [`work::Work::sweep`] found out who is dead. Nothing new is
    /// begun before.
    pub(super) async fn adopt<'s>(&'s self, going: &mut Going<'s>) {
        loop {
            match self.node.work.tasks().adopt().await {
                Ok(leases) if leases.is_empty() => return,
                Ok(leases) => leases.into_iter().for_each(|lease| self.take_over(lease, false, going)),
                Err(error) => {
                    tracing::warn!(%error, "what a dead process had leased is taken over later");
                    tokio::select! {
                        () = sleep(AGAIN) => {}
                        () = self.node.stopping.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Follows a lease that is open and that nothing follows.
    pub(super) fn take_over<'s>(&'s self, lease: OpenLease, unwanted: bool, going: &mut Going<'s>) {
        let cancel = CancellationToken::new();
        if unwanted {
            cancel.cancel();
        }
        self.open.lock().insert(lease.id, cancel.clone());
        self.load.lock().flights += 1;
        let follow = async move {
            self.follow(&lease, cancel).await;
            self.open.lock().remove(&lease.id);
            self.load.lock().flights -= 1;
        };
        going.push(follow.boxed());
    }

    async fn follow(&self, lease: &OpenLease, cancel: CancellationToken) {
        let (task, placed) = loop {
            let found = tokio::join!(self.node.work.tasks().one(lease.task), self.order_of(lease));
            match found {
                (Ok(task), Ok(placed)) => break (task, placed),
                (task, _) => {
                    let error = task.err().map(|error| error.to_string());
                    tracing::warn!(error, "what a dead process had leased is asked after later");
                }
            }
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = self.node.stopping.cancelled() => return,
            }
        };
        let (Some(task), Some((worker, placed))) = (task, placed) else {
            // The order was never kept, so it was never sent.
            return self.end_quietly(lease.id).await;
        };
        let upstream = self.upstream_of(worker, &task);
        let body = || async {
            let request = Request::of(self.node, &task).await.ok()?;
            Some(
                upstream
                    .as_deref()
                    .map_or_else(|| request.body.clone(), |upstream| request.body_for(upstream)),
            )
        };
        let at = AtWorker {
            node: self.node,
            placed: placed.clone(),
            endpoint: task.endpoint,
            cancel,
            waking: &self.waking,
        };
        let came = at.run(true, body).await;
        let upstream = upstream.as_deref();
        let in_flight = upstream.map_or(1, |upstream| upstream.lane.in_flight());
        let landing =
            Landing { lease: lease.id, task: &task, upstream, placed: Some(&placed), took: None, in_flight };
        self.land(&landing, came).await;
    }

    /// The order of a lease, if it was kept.
    async fn order_of(&self, lease: &OpenLease) -> Result<Option<(NodeId, Placed)>, QueryError> {
        let (Ok(worker), Some(id)) = (lease.worker.parse::<NodeId>(), &lease.order_id) else {
            return Ok(None);
        };
        let signed = self.node.ledger.order_placed(worker, id).await?;
        let order = signed.and_then(|signed| signed.verify().ok());
        Ok(order.map(|order| (worker, Placed::watched(self.node, order))))
    }

    fn upstream_of(&self, worker: NodeId, task: &WaitingTask) -> Option<Arc<Upstream>> {
        let all = self.node.upstreams.all();
        let friend = all.iter().find(|upstream| upstream.node() == Some(worker)).map(Arc::clone);
        let kind = super::reach::Kind::of(task);
        let found = || self.reach.look(self.node, &kind);
        friend.or_else(|| {
            let found = found();
            found
                .who
                .iter()
                .map(|(_, upstream)| upstream)
                .find(|upstream| upstream.node() == Some(worker))
                .map(Arc::clone)
        })
    }
}
