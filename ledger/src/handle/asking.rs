//! What a gateway asks of its books.

use super::Ledger;
use crate::{
    asking::{
        awaited::{self, Awaited, GiveUp, Hear, News},
        outbox::{AckBatch, Delivered, Failed},
        place::{Place, PlaceError},
        receive::{Receive, ReceiveError},
    },
    entry::{Origin, Posted},
    exchange::order_id,
    post::Item,
    query::QueryError,
    unwritten::Unwritten,
};
use protocol::{
    Ack, Credits, NodeId, Order, Receipt, Signed, Timestamp, Verified, ack::Verdict, canonical::sha256,
    limits::STATEMENT_BYTES_MAX,
};

impl Ledger {
    /// Remembers an order of ours; to be awaited before it is sent. The same again is no error.
    ///
    /// Survives a kill; a power cut may forget it if nothing was posted since.
    pub async fn place(&self, order: &Verified<Order>, now: Timestamp) -> Result<(), PlaceError> {
        if order.requester != self.open.me {
            return Err(PlaceError::NotOurs);
        }
        let json = order.to_json();
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(PlaceError::TooLong { bytes: json.len() });
        }
        let (sha256, worker) = (sha256(json.as_bytes()), order.worker);
        let id = order_id(&order.order_id).unwrap_or_default();
        self.ask(Place { worker, id, sha256, json, credits: order.max_credits, now }).await
    }

    /// Keeps the receipt of an order of ours, and `ack`, our signed word on it, which waits until the
    /// worker has it; resolves when both are durable. An ok makes it a debt, a dispute does not.
    ///
    /// Good whenever it comes, also for an order that was [`Ledger::lost`]. Collected twice it is the
    /// same receipt, and the first word on it stands.
    pub async fn post_received(
        &self,
        receipt: Verified<Receipt>,
        ack: Verified<Ack>,
        now: Timestamp,
    ) -> Result<Posted, ReceiveError> {
        let order_sha256 = receipt.answers.as_ref().map(|answer| answer.order_sha256);
        let order_sha256 = order_sha256.ok_or(ReceiveError::UnknownOrder)?;
        // What we dispute counts for nothing in our accounts.
        let credits_max = if ack.verdict == Verdict::Ok { u64::MAX } else { 0 };
        let item = Item::new(receipt, credits_max, Origin::Received, now)?;
        let (sha256, ack_json) = (sha256(item.json.as_bytes()), ack.to_json());
        self.ask(Receive { item, sha256, order_sha256, ack, ack_json }).await
    }

    /// See [`crate::Reader::due`].
    pub async fn due(&self, now: Timestamp, workers_max: usize) -> Result<Vec<AckBatch>, QueryError> {
        self.read(move |reader| reader.due(now, workers_max)).await?
    }

    /// The worker has answered for these of a batch, whether it accepted or refused them: none is sent
    /// again.
    pub async fn delivered(&self, worker: NodeId, ids: Vec<u64>, now: Timestamp) -> Result<(), Unwritten> {
        self.ask(Delivered { worker, ids, now }).await
    }

    /// The worker could not be given its batch: it is due again at `retry_at`.
    pub async fn failed(&self, worker: NodeId, retry_at: Timestamp) -> Result<(), Unwritten> {
        self.ask(Failed { worker, retry_at }).await
    }

    /// See [`crate::Reader::unanswered`].
    pub async fn unanswered(
        &self,
        now: Timestamp,
        placed_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Awaited>, QueryError> {
        self.read(move |reader| reader.unanswered(now, placed_before, limit)).await?
    }

    /// See [`crate::Reader::order_placed`].
    pub async fn order_placed(
        &self,
        worker: NodeId,
        order: &str,
    ) -> Result<Option<Signed<Order>>, QueryError> {
        let order = order.to_owned();
        self.read(move |reader| reader.order_placed(worker, &order)).await?
    }

    /// See [`crate::Reader::order_cost`].
    pub async fn order_cost(&self, worker: NodeId, order: &str) -> Result<Option<Credits>, QueryError> {
        let order = order.to_owned();
        self.read(move |reader| reader.order_cost(worker, &order)).await?
    }

    /// No receipt will come for this order: its worker refused it, or says so.
    pub async fn lost(&self, worker: NodeId, order: &str, now: Timestamp) -> Result<(), Unwritten> {
        self.hear(worker, order, News::Lost, now).await
    }

    /// Its worker could not be asked, or it runs still: [`Ledger::unanswered`] tells of it again from `at`
    /// on.
    pub async fn ask_again(&self, worker: NodeId, order: &str, at: Timestamp) -> Result<(), Unwritten> {
        self.hear(worker, order, News::AskAgain(at), at).await
    }

    async fn hear(&self, worker: NodeId, order: &str, news: News, now: Timestamp) -> Result<(), Unwritten> {
        // What is no UUID is no order of ours either.
        let Some(id) = order_id(order) else { return Ok(()) };
        self.ask(Hear { worker, id, news, now }).await
    }

    /// Counts the orders as lost that were placed more than 30 days ago and never answered; their workers
    /// keep no receipts any longer. Gives their number, which is bounded: there may be more. Where there is
    /// none nothing is written, and nobody waits who writes.
    pub async fn give_up(&self, now: Timestamp) -> Result<usize, Unwritten> {
        let any = self.read(move |reader| awaited::any_too_old(&reader.conn, now)).await;
        if let Ok(Ok(false)) = any {
            return Ok(0);
        }
        self.ask(GiveUp { now }).await
    }
}
