//! The credits of a job: reserved when it is taken in, held while it waits, spent or given back when it ends.

use super::Lending;
use crate::{
    clock,
    credit::{self, Admitted},
    failure::Failure,
    node::Node,
    prices,
    worker::Request,
};
use ledger::{AdmitError, Reservation};
use protocol::{Credits, ModelName, Order, Price, Requester, Signed, Verified};
use work::{
    JobError,
    lent::{LentJob, Whose},
};

/// What is held for a job that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) reservation: Reservation,
    /// As it was when the job was taken in.
    pub(super) price: Price,
}

/// Why a job is not run now.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// Another process of this home holds its credits, or the ledger cannot be written now.
    NotNow,
    /// It is not to be run at all.
    Never(JobError),
}

impl NotAdmitted {
    fn never(failure: &Failure) -> Self {
        Self::Never(JobError::new(failure.code(), failure.message()))
    }
}

impl Lending {
    pub(super) fn hold(&self, id: String, held: Held) {
        self.held.lock().insert(id, held);
    }

    /// What was held for a job, if this process held anything. Dropped, it is released.
    pub(super) fn take_held(&self, id: &str) -> Option<Held> {
        self.held.lock().remove(id)
    }

    pub(super) fn ids_held(&self) -> Vec<String> {
        self.held.lock().keys().cloned().collect()
    }
}

/// The credits of a job that is begun. `whole` is its body as it was ordered.
pub(super) async fn admitted(
    node: &Node,
    job: &LentJob,
    request: &Request,
    whole: &[u8],
) -> Result<Admitted, NotAdmitted> {
    let Whose::Other(requester) = job.whose else {
        // Nothing of ours submits one: a node's owner has the gateway.
        return Err(NotAdmitted::Never(JobError::new("not_found", "give your own jobs to the gateway")));
    };
    let asked = credit::Asked { body: whole, ..request.asked(node) };
    let order = job.order.as_deref().map(order).transpose()?;
    let held = {
        // It may have been begun before the one who brought it in could hold its credits.
        let _door = node.lending.door(order.as_ref().map(|_| job.id.as_str())).await;
        node.lending.take_held(&job.id)
    };
    let Some(order) = order else {
        return match held {
            Some(Held { reservation, price }) => {
                let input = protocol::order::max_input_tokens(whole.len() as u64);
                let paid = price.output_within(reservation.credits(), input).unwrap_or(1);
                let output_max = if asked.makes_text { paid } else { 0 };
                Ok(Admitted { requester, order: None, price, output_max, reservation })
            }
            None => {
                let (config, price) = (node.config(), price_of(node, &job.model));
                let admitted = credit::unordered(node, &config, requester, &asked, price).await;
                admitted.map_err(|failure| NotAdmitted::never(&failure))
            }
        };
    };
    let Held { reservation, price } = match held {
        Some(held) => held,
        None => again(node, &order).await?,
    };
    let output_max =
        credit::paid_for(&asked, &order, price).map_err(|failure| NotAdmitted::never(&failure))?;
    let sha256 = order.signed().sha256();
    Ok(Admitted { requester, order: Some(Box::new((order, sha256))), price, output_max, reservation })
}

/// Reserves again what an order's job had reserved when its process died.
pub(super) async fn again(node: &Node, order: &Verified<Order>) -> Result<Held, NotAdmitted> {
    let line = credit::line(node, &node.config(), order.requester);
    match node.ledger.resume(order.requester, &order.order_id, line, clock::now()).await {
        Ok(reservation) => Ok(Held { reservation, price: agreed(price_of(node, &order.model), order) }),
        Err(error) => Err(refused(node, error, Requester::Node(order.requester), order.max_credits)),
    }
}

/// What the ledger's no means for a job.
pub(super) fn refused(node: &Node, error: AdmitError, requester: Requester, needed: Credits) -> NotAdmitted {
    match error {
        AdmitError::NotReleased | AdmitError::Lock(_) | AdmitError::Unwritten(_) => NotAdmitted::NotNow,
        error => NotAdmitted::never(&credit::refused(node, error, requester, needed)),
    }
}

/// An order that was kept with its job, which was checked before.
pub(super) fn order(signed: &str) -> Result<Verified<Order>, NotAdmitted> {
    let order = Signed::<Order>::parse(signed.as_bytes()).and_then(Signed::verify);
    order.map_err(|error| NotAdmitted::Never(JobError::new("order_refused", error.to_string())))
}

fn price_of(node: &Node, model: &ModelName) -> Price {
    prices::of(&node.config().credit, &node.upstreams.local().inventory(), model)
}

/// Of a job that was taken in before this process began: what was quoted is not exceeded.
fn agreed(now: Price, order: &Order) -> Price {
    let Some(quoted) = order.price else { return now };
    Price { input: now.input.min(quoted.input), output: now.output.min(quoted.output) }
}
