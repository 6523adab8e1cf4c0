//! `POST /v1/receipts/ack`: from a body to what settles a claim.
#![no_main]

use fuzz::{KEY, ME, sign};
use libfuzzer_sys::fuzz_target;
use protocol::{
    Ack, NodeId, Rejected, Signed,
    ack::{AckRefused, Claim, read_batch, write_batch},
    limits::{ACK_BYTES_MAX, ACKS_MAX},
};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let _ = Ack::parse(data);
    let Ok(batch) = read_batch(data) else { return };
    assert!(batch.len() <= ACKS_MAX);
    for ack in batch.into_iter().flatten() {
        is_kept(&ack);
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(data) else { return };
    for statement in body.get("acks").and_then(Value::as_array).into_iter().flatten() {
        let Some(text) = statement.get("ack").and_then(|ack| sign("ack", "lobstah/ack/2\n", ack)) else {
            continue;
        };
        if let Ok(ack) = Ack::parse(text.as_bytes()) {
            counts_for_its_claim_alone(ack);
        }
    }
});

/// Short enough to be kept for good, and the same when it is read again.
fn is_kept(ack: &Signed<Ack>) {
    let json = ack.to_json();
    assert!(json.len() <= ACK_BYTES_MAX);
    assert_eq!(Ack::parse(json.as_bytes()).as_ref(), Ok(ack));
}

fn counts_for_its_claim_alone(ack: Signed<Ack>) {
    is_kept(&ack);
    let Ack { order_sha256, receipt_sha256, .. } = *ack.unverified();
    let claim = Claim { requester: *ME, order_sha256, receipt_sha256 };
    let of_another = Claim { requester: NodeId::from_bytes([9; 32]), ..claim };
    assert_eq!(ack.clone().verify_for(&of_another), Err(Rejected::BadSignature.into()));
    let mut elsewhere = claim;
    elsewhere.receipt_sha256[31] ^= 1;
    assert_eq!(ack.clone().verify_for(&elsewhere), Err(AckRefused::AnotherReceipt));
    let verified = ack.verify_for(&claim).expect("who ordered signed it");
    let ours = Ack::clone(&verified).sign(&KEY).expect("it can be said in our own words");
    let read = read_batch(write_batch([&verified, &ours]).as_bytes()).expect("two are a batch");
    for (read, sent) in read.into_iter().zip([verified, ours]) {
        assert_eq!(read.expect("what we write we read").verify_for(&claim), Ok(sent));
    }
}
