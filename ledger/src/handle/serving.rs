//! What a worker asks of its books.

use super::Ledger;
use crate::{
    credit::Line,
    entry::Posted,
    exchange::order_id,
    limits::ACKS_AT_ONCE,
    party::Party,
    post::{Item, charge},
    query::QueryError,
    serving::{
        acks::{self, AckError, Collected, TakeAck},
        admit::{Admit, AdmitError, Behind, Lent},
        claim::{Claim, ClaimError},
        release::{Release, Sweep},
        reservation::Reservation,
    },
    unwritten::Unwritten,
};
use protocol::{
    Ack, Credits, NodeId, Order, Receipt, Signed, Timestamp, Verified, limits::STATEMENT_BYTES_MAX,
};
use std::sync::Arc;

/// Who asks without an order, and what it may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unordered {
    /// Nobody says who: so much a day for all of them together (`credit.anonymous`).
    Anonymous {
        /// Credits.
        per_day: Credits,
    },
    /// A header names this node, and the owner believes headers as far as the newcomers' pool goes.
    Believed {
        /// As the header says.
        node: NodeId,
        /// What one key may owe.
        allowance: Credits,
        /// What all newcomers take of a day, those that order included.
        pool_per_day: Credits,
    },
    /// The same, and the owner vouches for this node (`version1 = true`): it spends its own line.
    Vouched {
        /// As the header says.
        node: NodeId,
        /// Its `credit_limit`.
        limit: Credits,
    },
}

impl Ledger {
    /// Takes an order that [`Verified::check`] let through, and reserves its `maxCredits`, in one
    /// transaction: it was never taken before, its requester is not blocked and does not owe too many
    /// acknowledgements, and so much is available to it (SPEC section 4).
    ///
    /// Survives a kill; a power cut may forget it if nothing was posted since.
    pub async fn admit(
        &self,
        order: &Verified<Order>,
        line: Line,
        now: Timestamp,
    ) -> Result<Reservation, AdmitError> {
        if order.worker != self.open.me {
            return Err(AdmitError::AnotherWorker);
        }
        let json = order.to_json();
        if json.len() > STATEMENT_BYTES_MAX {
            return Err(AdmitError::TooLong { bytes: json.len() });
        }
        let sha256 = protocol::canonical::sha256(json.as_bytes());
        let id = order_id(&order.order_id).unwrap_or_default();
        let behind = Behind::Order { id, sha256, json };
        let (who, lent) = (Party::Node(order.requester), Lent::Line(line));
        self.ask(self.admission(behind, who, order.max_credits, lent, now)).await
    }

    /// Reserves `credits` for a request without an order.
    pub async fn admit_unordered(
        &self,
        who: Unordered,
        credits: Credits,
        now: Timestamp,
    ) -> Result<Reservation, AdmitError> {
        let (who, lent) = match who {
            Unordered::Anonymous { per_day } => (Party::Anonymous, Lent::PerDay(per_day)),
            Unordered::Believed { node, allowance, pool_per_day } => {
                (Party::Believed(node), Lent::Line(Line::Newcomer { allowance, pool_per_day }))
            }
            Unordered::Vouched { node, limit } => (Party::Node(node), Lent::Line(Line::Friend { limit })),
        };
        self.ask(self.admission(Behind::Nothing, who, credits, lent, now)).await
    }

    /// Reserves again for an order whose reservation was released because the process died: a job that
    /// runs again reuses its order. Refused where [`Ledger::admit`] would be, and where the order runs.
    pub async fn resume(
        &self,
        requester: NodeId,
        order: &str,
        line: Line,
        now: Timestamp,
    ) -> Result<Reservation, AdmitError> {
        let id = order_id(order).ok_or(AdmitError::NeverTaken)?;
        let (behind, who) = (Behind::Again { id, requester }, Party::Node(requester));
        self.ask(self.admission(behind, who, Credits::ZERO, Lent::Line(line), now)).await
    }

    fn admission(&self, behind: Behind, who: Party, credits: Credits, lent: Lent, now: Timestamp) -> Admit {
        Admit { behind, who, credits, lent, now, ledger: Arc::downgrade(&self.open) }
    }

    /// Gives a reservation back: the engine or we broke, and nobody pays. If this fails it is tried again
    /// by the ledger itself.
    pub async fn release(&self, reservation: Reservation, now: Timestamp) -> Result<(), Unwritten> {
        self.ask(Release { seq: reservation.seq(), now }).await.inspect(|()| reservation.end())
    }

    /// Keeps the receipt that ends a reservation, and turns that into a claim; resolves when it is
    /// durable. If it is not kept the reservation is released.
    ///
    /// What an order reserved bounds what its receipt charges. Without an order the receipt counts for
    /// its tokens, at most for what was reserved.
    pub async fn claim(
        &self,
        reservation: Reservation,
        receipt: Verified<Receipt>,
        now: Timestamp,
    ) -> Result<Posted, ClaimError> {
        let credits = Credits::saturating(charge(&receipt));
        self.claim_priced(reservation, receipt, credits, now).await
    }

    /// [`Ledger::claim`] at the worker's price: a receipt that answers no order names no sum itself, and
    /// counts for `credits`, at most for what was reserved. One that answers an order counts for what it
    /// says.
    pub async fn claim_priced(
        &self,
        reservation: Reservation,
        receipt: Verified<Receipt>,
        credits: Credits,
        now: Timestamp,
    ) -> Result<Posted, ClaimError> {
        let credits = credits.min(reservation.credits());
        let item = Item::served(receipt, credits.get(), now)?;
        self.ask(Claim { seq: reservation.seq(), item }).await.inspect(|_| reservation.end())
    }

    /// See [`crate::Reader::receipt_for`].
    pub async fn receipt_for(&self, requester: NodeId, order: String) -> Result<Collected, QueryError> {
        self.read(move |reader| reader.receipt_for(requester, &order)).await?
    }

    /// Takes acknowledgements of receipts of ours, checking each against its claim; one outcome for each,
    /// in order. The same again is accepted. An ok after a dispute settles, a dispute after an ok is
    /// refused. Those that are accepted are durable.
    pub async fn take_acks(&self, acks: Vec<Signed<Ack>>, now: Timestamp) -> Vec<Result<(), AckError>> {
        let mut checked = Vec::with_capacity(acks.len());
        let mut acks = acks.into_iter().peekable();
        while acks.peek().is_some() {
            let some: Vec<_> = acks.by_ref().take(ACKS_AT_ONCE).collect();
            checked.append(&mut self.check_acks(some, now).await);
        }
        self.ask_many(checked).await
    }

    /// The signatures are checked here and not on the reading thread, for which others wait.
    async fn check_acks(&self, acks: Vec<Signed<Ack>>, now: Timestamp) -> Vec<Result<TakeAck, AckError>> {
        let orders: Vec<_> = acks.iter().map(|ack| ack.unverified().order_sha256).collect();
        let claims = self
            .read(move |reader| -> Vec<_> {
                orders.into_iter().map(|order| acks::claim_of(&reader.conn, order)).collect()
            })
            .await;
        let Ok(claims) = claims else {
            return acks.iter().map(|_| Err(Unwritten::Closed.into())).collect();
        };
        let checked = acks.into_iter().zip(claims).map(|(ack, claim)| {
            let claim = claim.map_err(Unwritten::from)??;
            Ok(TakeAck { ack: ack.verify_for(&claim)?, now })
        });
        checked.collect()
    }

    /// Gives the reservations of processes that died back, and says how many there were. Admissions do it
    /// by themselves: this is for what [`crate::Reader::standing`] shows meanwhile.
    pub async fn release_orphans(&self, now: Timestamp) -> Result<u64, Unwritten> {
        self.ask(Sweep { now }).await
    }
}
