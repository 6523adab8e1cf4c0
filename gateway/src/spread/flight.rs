//! One task at one upstream, from its lease to its landing.

use super::{
    Spread, answer,
    at_worker::AtWorker,
    came::{Came, Said},
    landing::Landing,
    lease_time::lease_time,
    request::{NoRequest, Request},
};
use crate::{
    attempt::{self, Ask, Timeouts},
    books::{Books, Served},
    candidates::path_at,
    clock,
    orders::{self, Placed, SHRUNK_MIN, Terms},
    outcome::{Outcome, Reason, WholeAnswer},
    slots::Slot,
    upstream::Upstream,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use protocol::{
    Credits, NodeId, Order, Price, Receipt, Timestamp, Usage, Verified, carriers, order::max_input_tokens,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use work::tasks::{LeaseError, LeaseId, NewLease, WaitingTask};

const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

/// A task that was given a place.
pub(super) struct Flight {
    pub(super) task: WaitingTask,
    pub(super) upstream: Arc<Upstream>,
    pub(super) slot: Slot,
    /// The upstream has seen the task's opening.
    pub(super) warm: bool,
    /// A second try of a task that runs elsewhere.
    pub(super) hedge: bool,
    /// Nothing else of its batch was on its way.
    pub(super) alone: bool,
}

/// A lease of this process.
struct Leased {
    id: LeaseId,
    /// The task is not wanted any more.
    cancel: CancellationToken,
    since: Instant,
}

/// What ordering for a task came to, before anything is kept.
enum Priced {
    Order(Box<Verified<Order>>),
    /// Its batch cannot pay for it.
    OverBudget,
    /// No order could be made.
    Failed(String),
}

impl Spread<'_> {
    /// Asks the upstream for the task, whatever comes of it.
    pub(super) async fn fly(&self, flight: Flight) {
        let request = match Request::of(self.node, &flight.task).await {
            Ok(request) => request,
            Err(none) => return self.no_request(&flight.task, none).await,
        };
        match orders::wanted(self.node, &flight.upstream) {
            Some(worker) => self.by_order(flight, request, worker).await,
            None => self.at_engine(flight, request).await,
        }
    }

    async fn no_request(&self, task: &WaitingTask, none: NoRequest) {
        match none {
            NoRequest::Gone => {}
            NoRequest::Store(error) => tracing::warn!(%error, "a task cannot be read now"),
            NoRequest::Wrong(code, message) => {
                self.node.metrics.task("refused");
                if let Err(error) =
                    self.node.work.tasks().give_up(task.id, (code, &message), clock::now()).await
                {
                    tracing::debug!(%error, task = %task.id, "a task that cannot be sent");
                }
            }
        }
    }

    /// At a peer of protocol 2: a lease, an order for it, a job.
    async fn by_order(&self, flight: Flight, request: Request, worker: NodeId) {
        let body = request.body_for(&flight.upstream);
        let mut output_max = request.output_max;
        // Once more, shorter, where the worker lends less than was ordered.
        for last in [false, true] {
            let order = match self.priced(&flight, &request, worker, &body, output_max) {
                Priced::Order(order) => *order,
                Priced::OverBudget => return self.over_budget(&flight).await,
                Priced::Failed(why) => return tracing::error!(why, "no order can be signed"),
            };
            let (order_id, reserved) = (order.order_id.clone(), order.max_credits);
            let lease = self.new_lease(&flight, Some(order_id), reserved, order.answer_by);
            let Some(lease) = self.lease(&flight, lease).await else { return };
            let (placed, came) = self.ordered(&flight, &lease, order, &body).await;
            let shorter = match &came.said {
                Said::Nothing(Reason::NoCredit { available: Some(available), .. }) if !last => {
                    let model = request.sought().model_for_peers();
                    let terms = Terms { model, body: &body, output_max, answer_by: None };
                    orders::shrunk(&flight.upstream, &terms, *available)
                }
                _ => None,
            };
            match shorter {
                Some(shorter) => {
                    output_max = shorter;
                    self.end_quietly(lease.id).await;
                }
                None => return self.came_down(flight, &lease, placed.as_ref(), came).await,
            }
        }
    }

    /// The order for a task, within what its batch may still spend.
    fn priced(
        &self,
        flight: &Flight,
        request: &Request,
        worker: NodeId,
        body: &Bytes,
        output_max: u64,
    ) -> Priced {
        let model = request.sought().model_for_peers();
        let price = flight.upstream.inventory().price(model);
        let input = max_input_tokens(body.len() as u64);
        let full = price.charge(Usage { input_tokens: input, output_tokens: output_max });
        let left = flight.task.terms.as_ref().and_then(|terms| terms.left);
        let output_max = match left {
            Some(left) if full > left => {
                // What others of the batch do not use comes back when they end; then there is more.
                let paid = price.output_within(left, input).filter(|_| flight.alone);
                match paid.filter(|output| *output >= SHRUNK_MIN.min(output_max)) {
                    Some(output) => output,
                    None => return Priced::OverBudget,
                }
            }
            _ => output_max,
        };
        let now = clock::now();
        let lease = lease_time(flight.upstream.service(), flight.task.attempts, request.route.answer_timeout);
        let terms = Terms { model, body, output_max, answer_by: Some(later(now, lease)) };
        match orders::draw_up(self.node, &flight.upstream, worker, &terms, now) {
            Ok(order) => Priced::Order(Box::new(order)),
            Err(why) => Priced::Failed(why),
        }
    }

    fn new_lease(
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
    async fn lease(&self, flight: &Flight, lease: NewLease) -> Option<Leased> {
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
            Err(error) => {
                tracing::warn!(%error, task = %flight.task.id, "a task is not leased now");
                None
            }
        }
    }

    async fn ordered(
        &self,
        flight: &Flight,
        lease: &Leased,
        order: Verified<Order>,
        body: &Bytes,
    ) -> (Option<Placed>, Came) {
        let placed = match orders::keep(self.node, order).await {
            Ok(placed) => placed,
            Err(why) => {
                tracing::error!(why, "peers are not asked while the ledger cannot be written");
                return (None, Came::nothing(Reason::Busy(Duration::from_secs(1))));
            }
        };
        flight.upstream.sent(Instant::now());
        let first = Mutex::new(Some(body.clone()));
        let again = || async {
            let first = first.lock().take();
            match first {
                Some(body) => Some(body),
                None => Some(Request::of(self.node, &flight.task).await.ok()?.body_for(&flight.upstream)),
            }
        };
        let at = AtWorker {
            node: self.node,
            placed: placed.clone(),
            endpoint: flight.task.endpoint,
            cancel: lease.cancel.clone(),
        };
        let came = at.run(false, again).await;
        (Some(placed), came)
    }

    /// The owner's own engine, another server, or a worker of version 1: an answer in one piece.
    async fn at_engine(&self, flight: Flight, request: Request) {
        let upstream = &flight.upstream;
        let body = request.body_for(upstream);
        let bytes = body.len() as u64;
        let reserved = match upstream.node() {
            // It knows of no orders: what it may cost is what one would have said.
            Some(_) => {
                let input_tokens = max_input_tokens(bytes);
                Price::COMMON.charge(Usage { input_tokens, output_tokens: request.output_max })
            }
            None => Credits::ZERO,
        };
        let lease = self.new_lease(&flight, None, reserved, None);
        let Some(lease) = self.lease(&flight, lease).await else { return };
        let answer_timeout = request.route.answer_timeout;
        let ask = Ask {
            path: path_at(upstream, request.endpoint.path()),
            body,
            requester: upstream.node().map(|_| self.node.me),
            order: None,
            authorization: upstream.server.as_ref().and_then(|server| server.authorization.clone()),
            forwarded: &JSON,
            streamed: false,
            timeouts: Timeouts { first_byte: answer_timeout, silence: None, answer: answer_timeout },
        };
        drop(request);
        let sent = Instant::now();
        upstream.sent(sent);
        let outcome = tokio::select! {
            biased;
            outcome = attempt::attempt(&self.node.connections, &upstream.destination, &ask) => outcome,
            () = lease.cancel.cancelled() => return self.came_down(flight, &lease, None, Came::of(Said::Cut)).await,
        };
        drop(ask);
        let (mut came, whole) = heard(outcome);
        came.unordered = whole.as_ref().map_or(Credits::ZERO, charged_without_order);
        if let (Some(worker), Some(answer)) = (upstream.node(), &whole) {
            let served = Served { node: self.node, worker, order: None, bytes };
            Books::Served(served).close_whole(&answer.body, answer.receipt.as_deref()).await;
        }
        self.came_down(flight, &lease, None, came).await;
    }

    async fn came_down(&self, flight: Flight, lease: &Leased, placed: Option<&Placed>, came: Came) {
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

/// What an answer in one piece is to its task.
fn heard(outcome: Outcome) -> (Came, Option<WholeAnswer>) {
    match outcome {
        Outcome::Whole(answer) => match answer::read(answer.body.to_vec()) {
            Ok(read) => (Came::of(Said::Answered(read)), Some(answer)),
            Err(error) => (Came::bad(error.to_string()), None),
        },
        Outcome::Stream(_) => (Came::bad("it streamed what was to come whole"), None),
        Outcome::Verdict(refusal) => (Came::of(Said::Wrong(refusal)), None),
        Outcome::Next(reason) => (Came::nothing(reason), None),
    }
}

/// What the receipt of a worker of version 1 charges, if there is one; it is checked by who keeps it.
fn charged_without_order(answer: &WholeAnswer) -> Credits {
    let receipt =
        answer.receipt.as_deref().map(|carried| carriers::from_base64::<Receipt>(carried.as_bytes()));
    let usage = receipt.and_then(Result::ok).map(|receipt| receipt.unverified().usage);
    usage.map_or(Credits::ZERO, |usage| Price::COMMON.charge(usage))
}

fn later(than: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(than.as_millis().saturating_add(by.as_millis() as u64))
}
