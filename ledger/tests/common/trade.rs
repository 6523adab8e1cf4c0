//! Orders, the receipts that answer them, and what their requesters say of those.

use super::{NOW, id, key};
use ledger::Line;
use protocol::{
    Ack, Answer, Credits, Order, Receipt, Requester, Signed, Timestamp, Usage, Verified, ack::Verdict,
    receipt::Nonce,
};

pub(crate) fn credits(amount: u64) -> Credits {
    Credits::new(amount).unwrap()
}

pub(crate) fn friend(limit: u64) -> Line {
    Line::Friend { limit: credits(limit) }
}

pub(crate) fn newcomer(allowance: u64, pool_per_day: u64) -> Line {
    Line::Newcomer { allowance: credits(allowance), pool_per_day: credits(pool_per_day) }
}

/// So many milliseconds after [`NOW`].
pub(crate) fn later(ms: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + ms)
}

pub(crate) fn uuid(n: u128) -> String {
    let digits = format!("{n:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The `n`th order that `requester` gives to `worker`.
pub(crate) fn order(requester: u8, worker: u8, n: u128, max_credits: u64) -> Verified<Order> {
    let order = Order {
        order_id: uuid(n),
        requester: id(requester),
        worker: id(worker),
        model: "llama3.1:8b".parse().unwrap(),
        body_sha256: [7; 32],
        max_input_tokens: max_credits,
        max_output_tokens: max_credits,
        max_credits: credits(max_credits),
        created_at: NOW,
        expires_at: later(60_000),
        answer_by: None,
        model_digest: None,
        price: None,
    };
    Verified::sign(order, &key(requester)).unwrap()
}

/// The receipt that `worker` answers it with; its nonce is the order's id.
pub(crate) fn answer(order: &Verified<Order>, worker: u8, charged: u64) -> Verified<Receipt> {
    answer_as(order, worker, charged, order.order_id.replace('-', ""))
}

/// The same with another nonce, of 32 digits.
pub(crate) fn answer_as(
    order: &Verified<Order>,
    worker: u8,
    charged: u64,
    nonce: String,
) -> Verified<Receipt> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(nonce, &mut bytes).unwrap();
    let receipt = Receipt {
        job_id: order.order_id.clone(),
        nonce: Nonce(bytes),
        requester: Requester::Node(order.requester),
        worker: id(worker),
        model: order.model.clone(),
        usage: Usage { input_tokens: 1, output_tokens: charged / 2 },
        started_at: NOW,
        completed_at: NOW,
        answers: Some(Answer {
            order_sha256: order.signed().sha256(),
            response_sha256: [9; 32],
            response_bytes: Some(100),
            credits: credits(charged),
            model_digest: None,
            cut: false,
            estimated: false,
            context: None,
        }),
    };
    Verified::sign(receipt, &key(worker)).unwrap()
}

/// What `requester` says of a receipt.
pub(crate) fn ack(requester: u8, receipt: &Verified<Receipt>, verdict: Verdict) -> Verified<Ack> {
    let order_sha256 = receipt.answers.as_ref().unwrap().order_sha256;
    let ack = Ack { order_sha256, receipt_sha256: receipt.signed().sha256(), verdict, at: NOW };
    ack.sign(&key(requester)).unwrap()
}

pub(crate) fn ok(requester: u8, receipt: &Verified<Receipt>) -> Signed<Ack> {
    ack(requester, receipt, Verdict::Ok).signed().clone()
}

pub(crate) fn dispute(requester: u8, receipt: &Verified<Receipt>) -> Signed<Ack> {
    ack(requester, receipt, Verdict::Dispute(None)).signed().clone()
}
