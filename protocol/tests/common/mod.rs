//! An order, and a receipt that answers it, for the tests to change; and the vectors.
#![allow(dead_code, reason = "each test file uses a part")]

use protocol::{
    Answer, Credits, Keypair, Order, Receipt, Requester, Timestamp, Usage, canonical::sha256, receipt::Nonce,
};
use serde_json::Value;
use std::{fs, path::Path};

pub(crate) fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(crate) fn cases(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

pub(crate) fn requester() -> Keypair {
    Keypair::from_seed(&[1; 32])
}

pub(crate) fn worker() -> Keypair {
    Keypair::from_seed(&[2; 32])
}

pub(crate) const NOW: u64 = 1_790_000_000_000;

pub(crate) fn plain() -> Order {
    Order {
        order_id: "9b2f6f0a-31c7-4d0e-8f4b-6f0a54c1b002".into(),
        requester: requester().node_id(),
        worker: worker().node_id(),
        model: "llama3.1:8b".parse().unwrap(),
        body_sha256: sha256(b"{}"),
        max_input_tokens: 300,
        max_output_tokens: 1000,
        max_credits: Credits::new(3000).unwrap(),
        created_at: Timestamp::from_millis(NOW),
        expires_at: Timestamp::from_millis(NOW + 300_000),
        answer_by: None,
        model_digest: None,
        price: None,
    }
}

pub(crate) fn answer() -> Answer {
    Answer {
        order_sha256: [1; 32],
        response_sha256: [2; 32],
        response_bytes: Some(58),
        credits: Credits::new(7).unwrap(),
        model_digest: Some([3; 32]),
        cut: true,
        estimated: true,
        context: Some(4096),
    }
}

pub(crate) fn receipt(answers: Option<Answer>) -> Receipt {
    Receipt {
        job_id: plain().order_id,
        nonce: Nonce([7; 16]),
        requester: Requester::Node(requester().node_id()),
        worker: worker().node_id(),
        model: "llama3.1:8b".parse().unwrap(),
        usage: Usage { input_tokens: 3, output_tokens: 4 },
        started_at: Timestamp::from_millis(NOW),
        completed_at: Timestamp::from_millis(NOW + 2),
        answers,
    }
}
