//! One try at a peer goes with an order; where the peer lends less than was ordered, or changed its offer,
//! once more with another one (SPEC section 4).

use super::Search;
use crate::{
    attempt::{self, Ask},
    orders::{self, Placed, Terms},
    outcome::{Outcome, Reason},
    upstream::Upstream,
};
use protocol::NodeId;
use std::time::Duration;

/// Whether no receipt will come for the order: it was refused, or never arrived. What went wrong in another
/// way may have been taken, and is asked after.
fn was_not_taken(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Next(reason) => match reason {
            Reason::NoCredit { .. }
            | Reason::QuoteChanged(_)
            | Reason::TooDear(_)
            | Reason::Busy(_)
            | Reason::Down(_) => true,
            // 409: taken before, and who knows what became of it. 5xx: a proxy's word counts for nothing.
            Reason::Status(status, _) => (400..500).contains(status) && *status != 409,
            Reason::TimedOut | Reason::Broken(_) => false,
        },
        Outcome::Verdict(_) => true,
        Outcome::Stream(_) | Outcome::Whole(_) => false,
    }
}

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
        if was_not_taken(&outcome) {
            placed.forget(self.node).await;
        }
        (outcome, Some(placed))
    }

    async fn attempt(&self, upstream: &Upstream, request: &Ask<'_>) -> Outcome {
        attempt::attempt(&self.node.connections, &upstream.destination, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_order_is_forgotten_only_where_its_worker_has_surely_not_taken_it() {
        let status = |status| Reason::Status(status, String::new());
        let refused = [
            Reason::Down("connection refused".into()),
            Reason::Busy(Duration::ZERO),
            Reason::NoCredit { available: None, message: String::new() },
            status(403),
            status(404),
        ];
        let perhaps_taken = [
            Reason::TimedOut,
            Reason::Broken("reset".into()),
            status(409),
            status(500),
            status(502),
            status(302),
        ];
        assert!(refused.into_iter().all(|reason| was_not_taken(&Outcome::Next(reason))));
        assert!(!perhaps_taken.into_iter().any(|reason| was_not_taken(&Outcome::Next(reason))));
    }
}
