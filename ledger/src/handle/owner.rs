//! What the owner decides. Running nodes of the same home go by it from their next admission on.

use super::Ledger;
use crate::{
    exchange::order_id,
    owner::{
        decide::{Decide, Decision},
        settle::{Settle, SettleError, Settled},
    },
    settlement::SettlementHalf,
    unwritten::Unwritten,
};
use protocol::{Credits, NodeId, Timestamp};

impl Ledger {
    /// Takes nothing from this node any more, whatever its line.
    pub async fn block(&self, node: NodeId, now: Timestamp) -> Result<(), Unwritten> {
        self.decide(node, Decision::Block, now).await
    }

    /// Ends [`Ledger::block`].
    pub async fn unblock(&self, node: NodeId, now: Timestamp) -> Result<(), Unwritten> {
        self.decide(node, Decision::Unblock, now).await
    }

    /// Lends this node so much, as to a friend, whatever the settings say; with `None` they decide again.
    pub async fn lend(&self, node: NodeId, limit: Option<Credits>, now: Timestamp) -> Result<(), Unwritten> {
        self.decide(node, limit.map_or(Decision::LendNoMore, Decision::Lend), now).await
    }

    async fn decide(&self, node: NodeId, decision: Decision, now: Timestamp) -> Result<(), Unwritten> {
        self.ask(Decide { node, decision, now }).await
    }

    /// Keeps one side's word on a payment outside of the network, or on what is forgiven: ours or the
    /// other's. The balance moves when a payment has both, or what is forgiven its creditor's.
    pub async fn settle(&self, half: SettlementHalf, now: Timestamp) -> Result<Settled, SettleError> {
        half.check()?;
        let id = order_id(&half.id).unwrap_or_default();
        let json = half.to_json();
        self.ask(Settle { half, json, id, now }).await
    }
}
