//! Leases of a process that died: their workers are asked by the order's id, and nothing that has an answer
//! anywhere runs again.

use super::{Going, Spread, at_worker::AtWorker, landing::Landing, request::Request};
use crate::{clock, orders::Placed, upstream::Upstream};
use futures::FutureExt;
use protocol::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::tasks::{Charge, LeaseId, OpenLease, Verdict, WaitingTask};

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
        let Ok(task) = self.node.work.tasks().one(lease.task).await else { return };
        let placed = self.order_of(lease).await;
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
        let at = AtWorker { node: self.node, placed: placed.clone(), endpoint: task.endpoint, cancel };
        let came = at.run(true, body).await;
        let upstream = upstream.as_deref();
        let in_flight = upstream.map_or(1, |upstream| upstream.lane.in_flight());
        let landing =
            Landing { lease: lease.id, task: &task, upstream, placed: Some(&placed), took: None, in_flight };
        self.land(&landing, came).await;
    }

    async fn order_of(&self, lease: &OpenLease) -> Option<(NodeId, Placed)> {
        let worker: NodeId = lease.worker.parse().ok()?;
        let signed = self.node.ledger.order_placed(worker, lease.order_id.as_deref()?).await.ok()??;
        Some((worker, Placed::again(signed.verify().ok()?)))
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

    /// Closes a lease of which nothing came and nobody is to blame: its task waits again.
    pub(super) async fn end_quietly(&self, lease: LeaseId) {
        let closed = self.node.work.tasks().close(lease, Verdict::Cut, Charge::default(), clock::now()).await;
        self.open.lock().remove(&lease);
        if let Err(error) = closed {
            tracing::warn!(%error, "a lease of which nothing came stays open for now");
        }
    }
}
