//! Receipts: from a header, an SSE comment or a file to a requester's judgement.
#![no_main]

use fuzz::{KEY, NOW, comes_back, is_signed_as_understood, signed_anew};
use libfuzzer_sys::fuzz_target;
use protocol::{
    Answer, Credits, Keypair, Order, Receipt, Requester, Signed, Timestamp, Verified,
    ack::Verdict,
    carriers::{self, RECEIPT_COMMENT},
    judge::{Judgement, Received, Seen, judge},
};
use std::sync::LazyLock;

static REQUESTER: LazyLock<Keypair> = LazyLock::new(|| Keypair::from_seed(&[2; 32]));

fuzz_target!(|data: &[u8]| {
    let _ = carriers::from_base64::<Receipt>(data).and_then(Signed::verify);
    if let Ok(receipt) = Signed::<Receipt>::parse(data) {
        comes_back(&receipt);
        travels(&receipt);
        let _ = receipt.verify();
    }
    if let Some(receipt) = signed_anew::<Receipt>(data, "workerPubkey") {
        travels(receipt.signed());
        is_signed_as_understood(&receipt);
        assert!(receipt.is_fresh(receipt.completed_at));
        if let Some(answer) = &receipt.answers {
            is_judged(&receipt, answer);
        }
    }
});

/// A comment is one line and a blank one, and holds all of it.
fn travels(receipt: &Signed<Receipt>) {
    let comment = carriers::to_comment(receipt);
    let carried = comment.strip_prefix(RECEIPT_COMMENT).and_then(|rest| rest.strip_suffix(b"\n\n"));
    let carried = carried.expect("a comment begins and ends as every one");
    assert!(!carried.contains(&b'\n'));
    assert_eq!(carriers::from_base64::<Receipt>(carried).as_ref(), Ok(receipt));
}

/// Made out for an order of ours, it is acknowledged or disputed, and what is acknowledged was ordered.
fn is_judged(receipt: &Receipt, answer: &Answer) {
    let order = Verified::sign(order_of(receipt), &REQUESTER).expect("the key is the requester's");
    let requester = Requester::Node(order.requester);
    let answer = Answer { order_sha256: order.signed().sha256(), ..answer.clone() };
    let (sha256, sent) = (answer.response_sha256, answer.response_bytes);
    let receipt = Receipt { requester, answers: Some(answer.clone()), ..receipt.clone() };
    let receipt = Verified::sign(receipt, &KEY).expect("the key is the worker's");
    let seen = |bytes, text_bytes| Seen { bytes, sha256, text_bytes };
    let as_sent = seen(sent.unwrap_or(58), Some(40));
    let other_bytes = Seen { sha256: [0; 32], ..as_sent };
    for received in [
        Received::Unknown,
        Received::Whole(as_sent),
        Received::Part(seen(7, None)),
        Received::Whole(other_bytes),
    ] {
        match judge(&receipt, order.signed(), &received) {
            Judgement::Ok => {
                assert!(answer.credits <= order.max_credits);
                assert!(receipt.usage.output_tokens <= order.max_output_tokens);
                assert!(received != Received::Whole(other_bytes) || sha256 == [0; 32]);
            }
            Judgement::Dispute(dispute) => {
                assert!(
                    matches!(dispute.into(), Verdict::Dispute(Some(_))),
                    "{dispute}: too long to be said"
                );
            }
            Judgement::Refuse(refusal) => panic!("it answers the order: {refusal}"),
        }
    }
}

fn order_of(receipt: &Receipt) -> Order {
    Order {
        order_id: receipt.job_id.clone(),
        requester: REQUESTER.node_id(),
        worker: receipt.worker,
        model: receipt.model.clone(),
        body_sha256: [0; 32],
        max_input_tokens: 1000,
        max_output_tokens: 1000,
        max_credits: Credits::saturating(2000),
        created_at: NOW,
        expires_at: NOW,
        answer_by: Some(Timestamp::from_millis(NOW.as_millis() + 600_000)),
        model_digest: receipt.answers.as_ref().and_then(|answer| answer.model_digest),
        price: None,
    }
}
