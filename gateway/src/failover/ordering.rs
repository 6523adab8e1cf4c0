//! One try at a peer goes with an order; where the peer lends less than was ordered, once more with a
//! smaller one (SPEC section 4).

use super::Search;
use crate::{
    attempt::{self, Ask},
    orders::{self, Placed, Terms},
    outcome::{Outcome, Reason},
    upstream::Upstream,
};

impl Search<'_> {
    pub(super) async fn ask_with_order(
        &self,
        upstream: &Upstream,
        request: &mut Ask<'_>,
    ) -> (Outcome, Option<Placed>) {
        let Some(worker) = orders::wanted(self.node, upstream) else {
            return (self.attempt(upstream, request).await, None);
        };
        let body = request.body.clone();
        let mut terms =
            Terms { model: self.wanted.asked_for, body: &body, output_max: self.wanted.output_max };
        let mut again = true;
        loop {
            let placed = match orders::place(self.node, upstream, worker, &terms).await {
                Ok(placed) => placed,
                Err(why) => {
                    let why = format!("no order could be kept: {why}");
                    tracing::error!(why, "peers are not asked while the ledger cannot be written");
                    return (Outcome::Next(Reason::Status(500, why)), None);
                }
            };
            request.order = placed.header();
            let outcome = self.attempt(upstream, request).await;
            if let Outcome::Next(
                Reason::Status(..) | Reason::NoCredit { .. } | Reason::Busy(_) | Reason::Down(_),
            )
            | Outcome::Verdict(_) = &outcome
            {
                // It was refused, or never arrived: no receipt will come.
                placed.forget(self.node).await;
            }
            if let Outcome::Next(Reason::NoCredit { available: Some(available), .. }) = &outcome
                && std::mem::take(&mut again)
                && let Some(output_max) = orders::shrunk(upstream, &terms, *available)
            {
                terms.output_max = output_max;
                continue;
            }
            return (outcome, Some(placed));
        }
    }

    async fn attempt(&self, upstream: &Upstream, request: &Ask<'_>) -> Outcome {
        attempt::attempt(&self.node.connections, &upstream.destination, request).await
    }
}
