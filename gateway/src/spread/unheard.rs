//! Tries whose worker was not heard at their end. What they cost is what the ledger comes to know, which
//! [`crate::settling`] asks the workers for; until then it counts against their batch. A worker that was to leave
//! a job and was not heard is told again.

use super::{
    Spread,
    asking::{ANSWERED_WITHIN, Heard},
    at_worker::AtWorker,
};
use crate::{clock, orders::Placed};
use futures::future::join_all;
use http::Method;
use protocol::NodeId;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::{Endpoint, tasks::Unheard};

/// How often some of them are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// So many at once; the others come after them.
const AT_ONCE: usize = 64;

impl Spread<'_> {
    /// Looks at them, some at a time, until the node stops.
    pub(super) async fn hear_later(&self) {
        let mut behind = 0;
        let rounds = async {
            loop {
                sleep(LOOK_EVERY).await;
                behind = self.hear_of_some(behind).await;
            }
        };
        self.node.stopping.run_until_cancelled(rounds).await;
    }

    /// Looks at those behind a place; gives the place behind which the next are.
    async fn hear_of_some(&self, behind: i64) -> i64 {
        match self.node.work.tasks().unheard(behind, AT_ONCE).await {
            Ok(some) => {
                join_all(some.iter().map(|one| self.hear_of(one))).await;
                some.last().filter(|_| some.len() == AT_ONCE).map_or(0, |one| one.place)
            }
            Err(error) => {
                tracing::debug!(%error, "what is not heard of is looked at later");
                behind
            }
        }
    }

    async fn hear_of(&self, one: &Unheard) {
        let Ok(worker) = one.worker.parse::<NodeId>() else { return };
        let tasks = self.node.work.tasks();
        let kept = match self.node.ledger.order_cost(worker, &one.order_id).await {
            Ok(Some(charged)) => tasks.heard(&one.order_id, charged, clock::now()).await,
            Ok(None) if self.is_told(worker, one).await => tasks.cancel_heard(&one.order_id).await,
            Ok(None) => Ok(()),
            Err(error) => return tracing::debug!(%error, "what an order costs is looked at later"),
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "what was heard of an order is asked again");
        }
    }

    /// Whether its worker knows now that nobody wants it, which it did not before.
    async fn is_told(&self, worker: NodeId, one: &Unheard) -> bool {
        if one.cancel_until.is_none_or(|until| clock::now() > until) {
            return false;
        }
        let order = self.node.ledger.order_placed(worker, &one.order_id).await.ok().flatten();
        let Some(order) = order.and_then(|order| order.verify().ok()) else { return false };
        let expires_at = order.expires_at;
        let at = AtWorker {
            node: self.node,
            placed: Placed::again(order),
            endpoint: Endpoint::ChatCompletions,
            cancel: CancellationToken::new(),
            waking: &self.waking,
        };
        match at.ask(Method::DELETE, "", ANSWERED_WITHIN).await {
            Heard::Record(_) => true,
            // It may be on its way there.
            Heard::Unknown => clock::now() > expires_at,
            Heard::Trouble(_) => false,
        }
    }
}
