//! Receipts, good and bad, made by whoever holds a key.

use base64::{Engine, engine::general_purpose::STANDARD};
use protocol::{
    Answer, Body, Keypair, NodeId, Order, Price, Receipt, Requester, Timestamp, Usage, Verified,
    canonical::{CanonicalBytes, sha256},
    receipt::Nonce,
};
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

pub fn now() -> Timestamp {
    Timestamp::from_millis(UNIX_EPOCH.elapsed().unwrap().as_millis() as u64)
}

/// A time before (or after) now.
pub fn ago(time: Duration) -> Timestamp {
    Timestamp::from_millis(now().as_millis() - time.as_millis() as u64)
}

pub fn ahead(time: Duration) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + time.as_millis() as u64)
}

/// A receipt as an honest worker makes it.
pub fn receipt(worker: NodeId, requester: Requester, completed_at: Timestamp) -> Receipt {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).unwrap();
    Receipt {
        job_id: uuid::Uuid::new_v4().to_string(),
        nonce: Nonce(nonce),
        requester,
        worker,
        model: crate::engine::MODEL.parse().unwrap(),
        usage: Usage { input_tokens: 3, output_tokens: 5 },
        started_at: completed_at,
        completed_at,
        answers: None,
    }
}

/// A receipt that answers an order as an honest worker's does, for a body that begins with these bytes.
pub fn answering(order: &Order, order_sha256: [u8; 32], sent: &[u8]) -> Receipt {
    let mut receipt = receipt(order.worker, Requester::Node(order.requester), now());
    receipt.job_id.clone_from(&order.order_id);
    receipt.model = order.model.clone();
    receipt.answers = Some(Answer {
        order_sha256,
        response_sha256: sha256(sent),
        response_bytes: Some(sent.len() as u64),
        credits: Price::COMMON.charge(receipt.usage),
        model_digest: None,
        cut: false,
        estimated: false,
        context: None,
    });
    receipt
}

/// Signed by the worker that it names, as JSON.
pub fn signed(receipt: Receipt, key: &Keypair) -> String {
    Verified::sign(receipt, key).unwrap().to_json()
}

/// Signed by anybody, whoever it names.
pub fn signed_by(receipt: &Receipt, key: &Keypair) -> String {
    signed_value(&receipt.to_value(), key)
}

/// Any object in a receipt's place, rightly signed.
pub fn signed_value(receipt: &Value, key: &Keypair) -> String {
    let canonical = CanonicalBytes::of(receipt).unwrap();
    let signature = hex::encode(key.sign_text(canonical.as_str()));
    format!(r#"{{"receipt":{},"signature":"{signature}"}}"#, canonical.as_str())
}

/// As a header or a comment carries it.
pub fn carried(json: &str) -> String {
    STANDARD.encode(json)
}

/// What a header carried.
pub fn uncarried(base64: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(base64).unwrap()).unwrap()
}
