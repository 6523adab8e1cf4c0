//! What a process left when it ended: receipts that it signed and may not have claimed, and credits that it had
//! reserved for jobs that wait.

use super::holding::{self, NotAdmitted};
use crate::{clock, credit, node::Node, prices};
use ledger::{ClaimError, Reservation};
use protocol::{Receipt, Signed, Verified};
use work::lent::Unclaimed;

/// Takes it up: claims first, since their requesters' credit is spent.
pub(super) async fn take_up(node: &Node) {
    claim_again(node).await;
    hold_again(node).await;
}

/// Claims every receipt again of which nobody noted that it is claimed.
pub(super) async fn claim_again(node: &Node) {
    let unclaimed = match node.work.lent().unclaimed().await {
        Ok(unclaimed) => unclaimed,
        Err(error) => return tracing::warn!(%error, "receipts of jobs are not claimed now"),
    };
    for one in unclaimed {
        let noted = match claim(node, &one).await {
            Claimed::Yes | Claimed::Never => node.work.lent().claimed(&one.id).await.is_ok(),
            Claimed::NotNow => false,
        };
        if !noted {
            node.lending.claims_due.send_replace(true);
        }
    }
}

/// What came of it.
enum Claimed {
    /// The receipt stands in the ledger.
    Yes,
    /// It is tried again later.
    NotNow,
    /// It is not to be had: the result is given away.
    Never,
}

async fn claim(node: &Node, one: &Unclaimed) -> Claimed {
    let receipt = Signed::<Receipt>::parse(one.receipt.as_bytes()).and_then(Signed::verify);
    let receipt = match receipt {
        Ok(receipt) => receipt,
        Err(error) => return never(node, one, &error.to_string()),
    };
    let (worker, nonce) = (node.me, receipt.nonce);
    match node.ledger.read(move |reader| reader.seen(worker, nonce)).await {
        Ok(Ok(true)) => return Claimed::Yes,
        Ok(Ok(false)) => {}
        Ok(Err(_)) | Err(_) => return Claimed::NotNow,
    }
    let reservation = match reserved(node, one, &receipt).await {
        Ok(reservation) => reservation,
        Err(NotAdmitted::NotNow) => return Claimed::NotNow,
        Err(NotAdmitted::Never(error)) => return never(node, one, &error.message),
    };
    let cut = receipt.answers.as_ref().is_some_and(|answer| answer.cut);
    let usage = receipt.usage;
    match node.ledger.claim(reservation, receipt, clock::now()).await {
        Ok(_) => {
            node.metrics.receipt(if cut { "signed_cut" } else { "signed" });
            node.metrics.earned(usage);
            Claimed::Yes
        }
        Err(ClaimError::Post(error)) => {
            tracing::warn!(%error, id = one.id, "a job's receipt is claimed later");
            Claimed::NotNow
        }
        Err(error) => never(node, one, &error.to_string()),
    }
}

fn never(node: &Node, one: &Unclaimed, why: &str) -> Claimed {
    node.metrics.receipt("not_kept");
    tracing::warn!(id = one.id, why, "a job's receipt cannot be claimed any more: nobody pays for it");
    Claimed::Never
}

async fn reserved(
    node: &Node,
    one: &Unclaimed,
    receipt: &Verified<Receipt>,
) -> Result<Reservation, NotAdmitted> {
    if let Some(order) = &one.order {
        let order = holding::order(order)?;
        return Ok(holding::again(node, &order).await?.reservation);
    }
    let config = node.config();
    let price = prices::of(&config.credit, &node.upstreams.local().inventory(), &receipt.model);
    let (who, requester) = credit::believed(&config, receipt.requester);
    let credits = price.charge(receipt.usage);
    let reservation = node.ledger.admit_unordered(who, credits, clock::now()).await;
    reservation.map_err(|error| holding::refused(node, error, requester, credits))
}

/// Reserves again for the jobs that wait. Those without an order are admitted anew when their turn comes.
async fn hold_again(node: &Node) {
    let queued = match node.work.lent().queued().await {
        Ok(queued) => queued,
        Err(error) => return tracing::warn!(%error, "what jobs had reserved is reserved at their turns"),
    };
    for job in queued {
        let Some(order) = job.order.as_deref().and_then(|order| holding::order(order).ok()) else { continue };
        match holding::again(node, &order).await {
            Ok(held) => node.lending.hold(job.id, held),
            // Tried once more at its turn, which says so to its requester.
            Err(error) => tracing::debug!(id = job.id, ?error, "nothing is reserved for a job that waits"),
        }
    }
}
