//! What requesters ask of a worker's books: a receipt that did not arrive, and their acknowledgements
//! (SPEC section 4).

use crate::{
    admit, clock,
    downstream::{Downstream, Gone},
    fail_point::{self, FailPoint},
    failure::Failure,
    lending,
    node::Node,
};
use bytes::Bytes;
use ledger::Collected;
use protocol::{
    ack::{self, BatchTaken, RefusedAck},
    auth::{Asked, Auth},
    carriers::AUTH_HEADER,
    limits::ACKS_BYTES_MAX,
};

/// `GET /v1/receipts/{orderId}`
pub async fn receipt(node: &Node, down: &mut Downstream, path: &str, order: &str) -> Result<(), Gone> {
    let found = match requester(node, down, "GET", path) {
        Ok(requester) => node.ledger.receipt_for(requester, order.to_owned()).await,
        Err(failure) => return down.fail(&failure).await,
    };
    match found {
        Ok(Collected::Ready(json)) => down.answer(200, "application/json", &[], Bytes::from(json)).await,
        Ok(Collected::Running) => down.fail(&Failure::NotReady).await,
        // Of a job whose process died nothing is reserved until it is taken up again.
        Ok(Collected::Nothing) if lending::will_answer(node, order).await => {
            down.fail(&Failure::NotReady).await
        }
        Ok(Collected::Nothing) => {
            down.fail(&Failure::NotFound { what: format!("a receipt for the order {order}") }).await
        }
        Err(error) => down.fail(&Failure::Internal { message: error.to_string() }).await,
    }
}

/// Who signed the question (SPEC section 4).
pub fn requester(
    node: &Node,
    down: &Downstream,
    method: &str,
    path: &str,
) -> Result<protocol::NodeId, Failure> {
    let header = down.header(AUTH_HEADER).ok_or_else(|| Failure::InvalidAuth {
        message: format!("sign the request in {AUTH_HEADER}: <key>.<unix ms>.<signature>"),
    })?;
    let asked = Asked { worker: node.me, method, path };
    let authentic = Auth::parse(header).and_then(|auth| auth.verify(&asked, clock::now()));
    authentic
        .map(|authentic| authentic.node())
        .map_err(|error| Failure::InvalidAuth { message: error.to_string() })
}

/// `POST /v1/receipts/ack`: each acknowledgement is signed, so no further word of the requester is
/// needed.
pub async fn acks(node: &Node, down: &mut Downstream) -> Result<(), Gone> {
    let body = match admit::read_json(down, ACKS_BYTES_MAX as u64, &node.body_memory).await {
        Ok(body) => body,
        Err(failure) => return down.fail_early(&failure).await,
    };
    let batch = match ack::read_batch(&body.bytes) {
        Ok(batch) => batch,
        Err(error) => return down.fail(&Failure::invalid_value("acks", error.to_string())).await,
    };
    let mut refused = Vec::new();
    let mut places = Vec::new();
    let mut good = Vec::new();
    for (index, ack) in batch.into_iter().enumerate() {
        match ack {
            Ok(ack) => {
                places.push(index);
                good.push(ack);
            }
            Err(error) => refused.push(RefusedAck { index, reason: error.to_string() }),
        }
    }
    let orders: Vec<_> = good.iter().map(|ack| ack.unverified().order_sha256).collect();
    fail_point::reached(FailPoint::AckReceived);
    let outcomes = node.ledger.take_acks(good, clock::now()).await;
    fail_point::reached(FailPoint::AckTaken);
    // Nothing is lost by telling the requester to come again where the ledger cannot be written now.
    if outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(ledger::AckError::is_passing)) {
        return down.fail(&node.cannot_write("acknowledgements cannot be kept")).await;
    }
    let taken = orders.into_iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
    if let Err(error) = lending::acknowledged(node, taken.map(|(order, _)| order).collect()).await {
        return down.fail(&node.cannot_write(&error.to_string())).await;
    }
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let bad = places.into_iter().zip(&outcomes).filter_map(|(index, outcome)| {
        Some(RefusedAck { index, reason: outcome.as_ref().err()?.to_string() })
    });
    refused.extend(bad);
    refused.sort_by_key(|one| one.index);
    down.json(200, &BatchTaken { accepted, refused }).await
}
