//! A task at a peer of protocol 2: an order within its batch's budget, a lease, a job.

use super::{
    Spread,
    at_worker::AtWorker,
    came::{Came, Said},
    flight::{Flight, Leased},
    lease_time::lease_time,
    money,
    request::Request,
};
use crate::{
    clock,
    orders::{self, Placed, SHRUNK_MIN, Terms},
    outcome::Reason,
};
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{NodeId, Order, Timestamp, Usage, Verified, order::max_input_tokens};
use std::time::{Duration, Instant};

/// What ordering for a task came to, before anything is kept.
enum Priced {
    Order(Box<Verified<Order>>),
    /// Its batch cannot pay for it.
    OverBudget,
    /// No order could be made.
    Failed(String),
}

impl Spread<'_> {
    /// At a peer of protocol 2: a lease, an order for it, a job.
    pub(super) async fn by_order(&self, flight: Flight, request: Request, worker: NodeId) -> bool {
        let body = request.body_for(&flight.upstream);
        let mut output_max = request.output_max;
        // Once more, shorter, where the worker lends less than was ordered.
        for last in [false, true] {
            let order = match self.priced(&flight, &request, worker, &body, output_max) {
                Priced::Order(order) => *order,
                Priced::OverBudget => {
                    self.over_budget(&flight).await;
                    return last;
                }
                Priced::Failed(why) => {
                    tracing::error!(why, "no order can be signed");
                    return last;
                }
            };
            let (order_id, reserved) = (order.order_id.clone(), order.max_credits);
            let lease = self.new_lease(&flight, Some(order_id), reserved, order.answer_by);
            let Some(lease) = self.lease(&flight, lease).await else { return last };
            let Some((placed, came)) = self.ordered(&flight, &lease, order, &body).await else { return true };
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
                None => {
                    self.came_down(flight, &lease, Some(&placed), came).await;
                    return true;
                }
            }
        }
        true
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
                let paid = price.output_within(left, input).filter(|_| !more_may_come(flight));
                match paid.filter(|output| *output >= SHRUNK_MIN.min(output_max)) {
                    Some(output) => output,
                    None => return Priced::OverBudget,
                }
            }
            _ => output_max,
        };
        let now = clock::now();
        let tries = flight.task.attempts.saturating_add(self.past.lock().unbegun(flight.task.id));
        let lease = lease_time(flight.upstream.service(), tries, request.route.answer_timeout);
        let terms = Terms { model, body, output_max, answer_by: Some(later(now, lease)) };
        match orders::draw_up(self.node, &flight.upstream, worker, &terms, now) {
            Ok(order) => Priced::Order(Box::new(order)),
            Err(why) => Priced::Failed(why),
        }
    }

    async fn ordered(
        &self,
        flight: &Flight,
        lease: &Leased,
        order: Verified<Order>,
        body: &Bytes,
    ) -> Option<(Placed, Came)> {
        let placed = match orders::keep(self.node, order).await {
            Ok(placed) => placed,
            Err(why) => {
                self.node.cannot_write(&why);
                self.end_quietly(lease.id).await;
                return None;
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
            waking: &self.waking,
        };
        let came = at.run(false, again).await;
        Some((placed, came))
    }
}

/// Whether more may be left for its batch soon.
fn more_may_come(flight: &Flight) -> bool {
    let terms = flight.task.terms.as_ref();
    terms.is_some_and(|terms| money::more_may_come(terms.reserved, terms.unheard_at, clock::now()))
}

fn later(than: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(than.as_millis().saturating_add(by.as_millis() as u64))
}
