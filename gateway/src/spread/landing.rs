//! The end of a lease: its upstream's standing, its task, its batch's books, and then the ledger.
//!
//! The lease is closed before the receipt is kept. The other way round a crash between the two would leave an
//! acknowledgement on its way that lets the worker forget an answer which no task has yet. As it is, a receipt
//! that was not kept is collected by [`crate::settling`], which leaves alone what an open lease waits for.

use super::{
    Spread,
    came::{Came, Said, costs_no_attempt, verdict},
};
use crate::{asynchronous::jobs, books, clock, orders::Placed, outcome::Reason, upstream::Upstream};
use protocol::judge::Judgement;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use work::tasks::{Charge, CloseError, Closed, LeaseId, OpenLease, Verdict, WaitingTask};

/// A store that cannot be written is tried again after this.
const CLOSE_AGAIN: Duration = Duration::from_secs(1);

/// A worker that refused us for want of credit while other tasks of ours reserve it there is left alone for so
/// long: what they do not use is given back when they end.
const CREDIT_COMES_BACK: Duration = Duration::from_secs(2);

/// An engine that lacks a model is asked anew what it has, unless it said so within this.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// The lease is open still, for the next process.
struct NodeStops;

/// A lease whose end is here.
pub(super) struct Landing<'l> {
    pub(super) lease: LeaseId,
    pub(super) task: &'l WaitingTask,
    /// `None` if it is not known any more.
    pub(super) upstream: Option<&'l Upstream>,
    pub(super) placed: Option<&'l Placed>,
    /// How long the try took, as far as this process saw it.
    pub(super) took: Option<Duration>,
    /// Tasks of ours that the upstream had, this one included.
    pub(super) in_flight: usize,
}

impl Spread<'_> {
    /// Closes a lease with what came of it; what it leads to is done.
    pub(super) async fn land(&self, landing: &Landing<'_>, mut came: Came) {
        let task = landing.task;
        self.note_no_room(landing, &mut came.said);
        self.note_standing(landing, &came.said);
        self.look_what_there_is(landing, &came.said).await;
        let believed = self.is_believed(landing, &came.said);
        let request_id = landing.placed.map_or_else(
            || format!("req_{}", uuid::Uuid::new_v4().simple()),
            |placed| placed.order().order_id.clone(),
        );
        let jitter = getrandom::u32().unwrap_or_default();
        let verdict = verdict(&came.said, believed, &request_id, task.attempts, jitter, clock::now());
        let Some(verdict) = verdict else { return };
        let Ok(closed) = self.close(landing.lease, verdict, came.charge(landing.placed.is_some())).await
        else {
            return;
        };
        self.open.lock().remove(&landing.lease);
        self.node.metrics.task(came.label());
        tracing::debug!(
            task = %task.id,
            upstream = landing.upstream.map(|upstream| upstream.name.as_str()),
            outcome = came.label(),
            reason = reason(&came.said),
            took_ms = landing.took.map(|took| took.as_millis() as u64),
            ?closed,
            "task"
        );
        self.remember(landing, &came.said, closed);
        self.keep_papers(landing, came).await;
    }

    /// What the try shows of its upstream.
    fn note_standing(&self, landing: &Landing<'_>, said: &Said) {
        let Some(upstream) = landing.upstream else { return };
        let now = Instant::now();
        match said {
            Said::Answered(_) => {
                upstream.succeeded();
                landing.took.into_iter().for_each(|took| upstream.served(took));
            }
            Said::Nothing(Reason::NoCredit { .. }) if landing.in_flight > 1 => {
                upstream.busy(CREDIT_COMES_BACK, landing.in_flight, now);
            }
            Said::Nothing(reason) => {
                let model = &landing.task.model;
                upstream.was_of_no_use(reason, model, landing.in_flight, now);
            }
            Said::Absent(_) | Said::Wrong(_) | Said::Unbegun | Said::Cut | Said::Left => {}
        }
    }

    /// What is absent may have gone since the engine was last asked what it has.
    async fn look_what_there_is(&self, landing: &Landing<'_>, said: &Said) {
        if let (Said::Absent(_), Some(upstream)) = (said, landing.upstream) {
            self.node.prober.if_older(upstream, ASKED_WITHIN).await;
        }
    }

    /// Whether its word that the request is wrong, or the model nowhere, is the answer.
    fn is_believed(&self, landing: &Landing<'_>, said: &Said) -> bool {
        let Some(upstream) = landing.upstream else { return false };
        match said {
            Said::Wrong(refusal) => {
                let others_left = self.others_left(landing.task, upstream);
                let mut past = self.past.lock();
                past.heard(landing.task.id, upstream, refusal.clone(), others_left).is_some()
            }
            // A server that is being started may say so once.
            Said::Absent(_) => landing.task.attempts > 0 && !self.others_left(landing.task, upstream),
            Said::Answered(_) | Said::Nothing(_) | Said::Unbegun | Said::Cut | Said::Left => false,
        }
    }

    /// Closes a lease of which nothing came and nobody is to blame: its task waits again.
    pub(super) async fn end_quietly(&self, lease: LeaseId) {
        if self.close(lease, Verdict::Cut, Charge::default()).await.is_ok() {
            self.open.lock().remove(&lease);
        }
    }

    /// Closes it, however long the store cannot be written: an answer that is here is not given up. `None`: it
    /// was closed before.
    async fn close(
        &self,
        lease: LeaseId,
        verdict: Verdict,
        charge: Charge,
    ) -> Result<Option<Closed>, NodeStops> {
        loop {
            match self.node.work.tasks().close(lease, verdict.clone(), charge, clock::now()).await {
                Ok(closed) => return Ok(Some(closed)),
                Err(CloseError::NotOpen) => return Ok(None),
                Err(CloseError::Store(error)) => {
                    tracing::error!(%error, "what came of a task cannot be kept; it is tried again");
                }
            }
            tokio::select! {
                () = sleep(CLOSE_AGAIN) => {}
                () = self.node.stopping.cancelled() => return Err(NodeStops),
            }
        }
    }

    fn remember(&self, landing: &Landing<'_>, said: &Said, closed: Option<Closed>) {
        let (task, upstream) = (landing.task, landing.upstream);
        let in_vain = match said {
            Said::Nothing(reason) => !costs_no_attempt(reason),
            Said::Absent(_) | Said::Wrong(_) | Said::Unbegun => true,
            Said::Answered(_) | Said::Cut | Said::Left => false,
        };
        match (&closed, upstream) {
            (Some(Closed::Answered { losers }), Some(upstream)) => {
                self.warm.lock().note(&task.model, task.opening, &upstream.name);
                self.cancel(losers);
            }
            (Some(Closed::Waiting | Closed::LeftToTwin), Some(upstream)) if in_vain => {
                self.past.lock().note(task.id, &upstream.name);
                if matches!(said, Said::Unbegun) {
                    self.past.lock().note_unbegun(task.id);
                }
            }
            _ => {}
        }
        if matches!(closed, Some(Closed::Answered { .. } | Closed::Failed | Closed::Late) | None) {
            self.past.lock().forget(task.id);
            jobs::over(self.node, task.id);
        }
    }

    /// Stops what runs for tasks that need it no more.
    pub(super) fn cancel(&self, leases: &[OpenLease]) {
        let open = self.open.lock();
        leases.iter().filter_map(|lease| open.get(&lease.id)).for_each(|token| token.cancel());
    }

    async fn keep_papers(&self, landing: &Landing<'_>, came: Came) {
        let Some(placed) = landing.placed else { return };
        let Some(papers) = came.papers else {
            if matches!(came.said, Said::Answered(_)) {
                self.node.metrics.receipt("missing");
            }
            return;
        };
        let (usage, good) = (papers.receipt.usage, papers.judgement == Judgement::Ok);
        let worker = papers.receipt.worker;
        let kept =
            books::keep_judged(self.node, papers.receipt, placed, papers.judgement, clock::now()).await;
        match kept {
            Ok(()) if good => {
                self.node.metrics.spent(usage);
                self.node.strangers.prove(&worker);
            }
            Ok(()) => {}
            Err(refused) => {
                self.node.metrics.receipt(refused.label());
                tracing::warn!(worker = %worker.short(), reason = %refused, "a job's receipt is not kept now");
            }
        }
    }
}

fn reason(said: &Said) -> Option<String> {
    match said {
        Said::Nothing(reason) => Some(reason.to_string()),
        Said::Absent(words) => Some(format!("status 404: {words}")),
        Said::Wrong(refusal) => Some(format!("status {}", refusal.status)),
        Said::Unbegun => Some("its turn did not come in time".to_owned()),
        Said::Answered(_) | Said::Cut | Said::Left => None,
    }
}
