//! One try at a peer goes with an order; where the peer lends less than was ordered, or changed its offer,
//! once more with another one (SPEC section 4).

use super::Search;
use crate::{
    attempt::Ask,
    orders::{self, Placed, Terms},
    outcome::{Outcome, Reason},
    own_engine,
    upstream::Upstream,
    witness::Saw,
};
use protocol::NodeId;
use std::time::Duration;

impl Search<'_> {
    /// The outcome, and the order that stands behind it where a receipt may come.
    pub(super) async fn ask_with_order(
        &self,
        upstream: &Upstream,
        request: &mut Ask<'_>,
    ) -> (Outcome, Option<Placed>) {
        let Some(worker) = orders::wanted(self.node, upstream) else {
            return (self.attempt(upstream, request).await, None);
        };
        let body = request.body.clone();
        let output_max = self.wanted.output_max;
        let mut terms = Terms { model: self.wanted.asked_for, body: &body, output_max, answer_by: None };
        let first = self.order(upstream, worker, &terms, request).await;
        match &first.0 {
            Outcome::Next(Reason::NoCredit { available: Some(available), .. }) => {
                let Some(output_max) = orders::shrunk(upstream, &terms, *available) else { return first };
                terms.output_max = output_max;
            }
            Outcome::Next(Reason::QuoteChanged(_)) => {
                // What it offers now is ordered, or refused here.
                self.node.prober.if_older(upstream, Duration::ZERO).await;
            }
            _ => return first,
        }
        self.order(upstream, worker, &terms, request).await
    }

    async fn order(
        &self,
        upstream: &Upstream,
        worker: NodeId,
        terms: &Terms<'_>,
        request: &mut Ask<'_>,
    ) -> (Outcome, Option<Placed>) {
        let price = upstream.inventory().price(terms.model);
        if !orders::affordable(price, self.node.config().gateway.max_price) {
            return (Outcome::Next(Reason::TooDear(price)), None);
        }
        let placed = match orders::place(self.node, upstream, worker, terms).await {
            Ok(placed) => placed,
            Err(why) => {
                let why = format!("no order could be kept: {why}");
                tracing::error!(why, "peers are not asked while the ledger cannot be written");
                return (Outcome::Next(Reason::Status(500, why)), None);
            }
        };
        request.order = placed.header();
        let outcome = self.attempt(upstream, request).await;
        if outcome.was_not_taken() {
            placed.forget(self.node).await;
        } else if let Outcome::Next(reason) = &outcome {
            // A whole answer that took too long may have been made all the same.
            let gave_up = *reason == Reason::TimedOut && !request.streamed;
            placed.saw(if gave_up { Saw::Unwaited } else { Saw::Nothing });
        }
        (outcome, Some(placed))
    }

    async fn attempt(&self, upstream: &Upstream, request: &Ask<'_>) -> Outcome {
        own_engine::ask_upstream(self.node, upstream, request).await
    }
}
