//! Jobs that others gave this worker (SPEC section 6): taken in, run when the engine has room, kept until
//! their results were acknowledged.
//!
//! A job is admitted as a request is ([`credit`]): its order is checked and its credits are reserved. Then it
//! is on the disk before its requester hears that it is taken, and the reservation is held until it ends. A
//! process that dies between the two leaves an order that is taken and a reservation that nobody holds, which
//! the ledger gives back: nobody owes anything, and the requester signs another order.
//!
//! **Whose turn it is.** Jobs run in the same places of the engine as requests that somebody waits for, and come
//! after them: a job is begun only while nobody waits for a place, and while what runs for others and what the
//! owner's own gateway has in Ollama are together fewer than `worker.concurrency`. So the owner's own requests
//! take the places of jobs one by one, and a worker with one place works on jobs only while its owner does not
//! use the engine. What runs is not interrupted. Between requesters the store takes turns.
//!
//! **After a start**, and before anything new is admitted ([`Lending::taken_up`]): receipts that were signed and
//! perhaps not claimed are claimed again, and orders of jobs that wait reserve their credits again
//! ([`left_over`]). The order of this and of the ledger's own sweep does not matter: that gives back what *dead*
//! processes held, and what we resume is ours.
//!
//! **Invariants:** an order's job runs to an end at most once, and is charged at most once. Nobody sees a result
//! whose receipt does not stand in the ledger. What completes after `answerBy` is neither delivered nor charged.

mod cancelling;
mod holding;
mod left_over;
mod reading;
mod running;
mod submitting;
mod turns;
mod verdict;

pub use turns::run;

use crate::{
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};
use holding::Held;
use http::Method;
use parking_lot::Mutex;
use protocol::canonical::sha256;
use std::collections::HashMap;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use work::{StoreError, lent::LentView};

/// Jobs that come at the same time wait for each other only if they share one of so many doors.
const DOORS: usize = 64;

/// Ends of jobs that are remembered for those who wait for them. Who falls behind looks for itself.
const ENDS_MAX: usize = 256;

/// What this process knows of the jobs that it has; all else is in `work.db`.
#[derive(Debug)]
pub struct Lending {
    /// Of jobs that wait; no more than [`work::limits::LENT_QUEUED_MAX`].
    held: Mutex<HashMap<String, Held>>,
    /// Those that run, no more than the engine has places; cancelled to cut them.
    running: Mutex<HashMap<String, CancellationToken>>,
    /// Held from the look whether a job is there until its credits are held: the same order comes twice, and
    /// the queue is quick.
    doors: [tokio::sync::Mutex<()>; DOORS],
    /// A job came, or one may be begun.
    wake: Notify,
    /// Ids of jobs that ended.
    ended: broadcast::Sender<String>,
    /// What was left over is taken up.
    ready: watch::Sender<bool>,
    /// A receipt could not be claimed, and is to be claimed again.
    claims_due: watch::Sender<bool>,
}

impl Default for Lending {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            running: Mutex::default(),
            doors: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            wake: Notify::new(),
            ended: broadcast::channel(ENDS_MAX).0,
            ready: watch::channel(false).0,
            claims_due: watch::channel(false).0,
        }
    }
}

impl Lending {
    /// Resolves when what was left over is taken up, or the node stops: what is admitted sooner would spend
    /// what waiting jobs are to have.
    pub async fn taken_up(&self, stopping: &CancellationToken) {
        let mut ready = self.ready.subscribe();
        tokio::select! {
            _ = ready.wait_for(|ready| *ready) => {}
            () = stopping.cancelled() => {}
        }
    }

    /// The door through which a job goes that came with this order; all without one share theirs.
    async fn door(&self, order: Option<&str>) -> tokio::sync::MutexGuard<'_, ()> {
        let place = order.map_or(0, |order| usize::from(sha256(order.as_bytes())[0]));
        self.doors[place % DOORS].lock().await
    }

    /// A job has ended: whoever waits for it may look.
    fn over(&self, id: &str) {
        self.running.lock().remove(id);
        // Nobody may be waiting.
        let _ = self.ended.send(id.to_owned());
    }
}

/// `/v1/jobs` and below, at the worker. `rest` is what follows: empty, or `/{id}`.
pub async fn serve(node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    let method = down.session.req_header().method.clone();
    // Ids are in lower case here, however an order wrote its own.
    let id = rest.strip_prefix('/').map(str::to_ascii_lowercase);
    match (id, method) {
        (None, Method::POST) => submitting::serve(node, down).await,
        (None, _) => down.fail_early(&Failure::MethodNotAllowed { allow: "POST" }).await,
        (Some(id), Method::GET) => reading::serve(node, down, &id).await,
        (Some(id), Method::DELETE) => cancelling::serve(node, down, &id).await,
        (Some(_), _) => down.fail_early(&Failure::MethodNotAllowed { allow: "GET, DELETE" }).await,
    }
}

/// Whether this order is a job's that may still get a receipt, whatever the ledger says meanwhile.
pub async fn will_answer(node: &Node, order: &str) -> bool {
    let found = node.work.lent().get(&order.to_ascii_lowercase()).await;
    found.ok().flatten().is_some_and(|view| view.ordered() && !is_over(&view))
}

/// Their requesters have said what they think of the answers to these orders: results need not be kept.
pub async fn acknowledged(node: &Node, orders: Vec<[u8; 32]>) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    node.work.lent().acknowledged_orders(orders).await
}

/// Whether a job has ended and may be shown so: its receipt, if it has one, stands in the ledger.
fn is_over(view: &LentView) -> bool {
    view.record.completed_at.is_some() && !view.claim_due
}
