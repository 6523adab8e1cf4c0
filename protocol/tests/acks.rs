//! Acknowledgements: the vectors of an implementation that shares no code with this one, and what must
//! hold for all of them.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{NOW, cases, requester, text, vector, worker};
use proptest::prelude::*;
use protocol::{
    Ack, Order, Receipt, Rejected, Signed, Timestamp, Verified,
    ack::{self, AckRefused, BatchTaken, Claim, Reason, RefusedAck, Verdict},
    canonical::sha256,
    limits::{ACK_BYTES_MAX, ACKS_MAX, REASON_BYTES_MAX},
};
use serde_json::{Value, json};

#[test]
fn acknowledgements_count_exactly_when_theirs_do() {
    let words = vector("acks.json");
    let order = Signed::<Order>::from_value(&words["order"]).and_then(Signed::verify).unwrap();
    let receipts = cases(&words["receipts"]).iter();
    let claims: Vec<Claim> = receipts
        .filter_map(|case| {
            let receipt = Signed::<Receipt>::from_value(&case["signed"]).and_then(Signed::verify).unwrap();
            Claim::of(&order, &receipt)
        })
        .collect();
    for case in cases(&words["acks"]) {
        let name = text(case, "name");
        let outcome =
            Ack::parse(case["signed"].to_string().as_bytes()).map_err(AckRefused::from).and_then(|ack| {
                let named =
                    claims.iter().find(|claim| claim.receipt_sha256 == ack.unverified().receipt_sha256);
                ack.verify_for(named.unwrap_or(&claims[0]))
            });
        match (&outcome, name) {
            (Ok(ack), "ok") => assert_eq!(ack.verdict, Verdict::Ok),
            (Ok(ack), "dispute") => {
                assert_eq!(ack.verdict, Verdict::Dispute("more than ordered".parse().ok()));
            }
            (Err(AckRefused::Rejected(Rejected::BadSignature)), "signed by the worker itself") => {}
            (Err(AckRefused::Rejected(Rejected::BadSignature)), "signed by another") => {}
            (Err(AckRefused::AnotherReceipt), "for another receipt") => {}
            (Err(AckRefused::Rejected(Rejected::Malformed(_))), "a verdict that does not exist") => {}
            _ => panic!("{name}: {outcome:?}"),
        }
        if let Ok(ack) = &outcome {
            assert_eq!(serde_json::from_str::<Value>(&ack.to_json()).unwrap(), case["signed"], "{name}");
        }
        assert_eq!(outcome.is_ok(), case["valid"].as_bool().unwrap(), "{name}");
    }
}

fn acks(count: usize) -> Vec<Verified<Ack>> {
    let ack = |n: usize| Ack {
        order_sha256: sha256(&n.to_be_bytes()),
        receipt_sha256: [7; 32],
        verdict: if n.is_multiple_of(2) { Verdict::Ok } else { Verdict::Dispute(None) },
        at: Timestamp::from_millis(NOW),
    };
    (0..count).map(|n| ack(n).sign(&requester()).unwrap()).collect()
}

#[test]
fn a_batch_is_bounded_and_one_bad_word_spoils_no_other() {
    let three = ack::write_batch(&acks(3));
    let spoiled = three.replacen("dispute", "maybe", 1);
    let read = ack::read_batch(spoiled.as_bytes()).unwrap();
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(ack::read_batch(three.replacen("\"at\":", "\"at\":1,\"at\":", 1).as_bytes()).is_err());

    let one = acks(1);
    let many = |count| ack::write_batch(std::iter::repeat_n(&one[0], count));
    assert_eq!(ack::read_batch(many(ACKS_MAX).as_bytes()).unwrap().len(), ACKS_MAX);
    assert!(ack::read_batch(many(ACKS_MAX + 1).as_bytes()).is_err());
    for body in ["{}", "[]", r#"{"acks":{}}"#, ""] {
        assert!(matches!(ack::read_batch(body.as_bytes()), Err(Rejected::Malformed(_))), "{body}");
    }
}

#[test]
fn a_word_too_long_to_keep_is_refused() {
    let mut word: Value = serde_json::from_str(&acks(1)[0].to_json()).unwrap();
    word["ack"]["zFuture"] = json!("x".repeat(ACK_BYTES_MAX));
    assert!(Ack::parse(word.to_string().as_bytes()).is_err());
    let batch = ack::read_batch(json!({ "acks": [word] }).to_string().as_bytes()).unwrap();
    assert!(matches!(batch[0], Err(Rejected::Malformed(_))));
    assert!("x".repeat(REASON_BYTES_MAX).parse::<Reason>().is_ok());
    for wrong in ["", "a\nb", &"x".repeat(REASON_BYTES_MAX + 1)] {
        assert!(wrong.parse::<Reason>().is_err(), "{wrong:?}");
    }
}

#[test]
fn a_batch_is_answered_in_the_words_of_the_contract() {
    let refused = vec![RefusedAck { index: 1, reason: AckRefused::AnotherOrder.to_string() }];
    let taken = BatchTaken { accepted: 2, refused };
    let json = json!({"accepted": 2, "refused": [{"index": 1, "reason": "names another order"}]});
    assert_eq!(serde_json::to_value(&taken).unwrap(), json);
    assert_eq!(serde_json::from_value::<BatchTaken>(json).unwrap(), taken);
}

proptest! {
    #[test]
    fn an_acknowledgement_arrives_as_it_was_signed_and_counts_for_its_claim_alone(
        order_sha256: [u8; 32], receipt_sha256: [u8; 32], at in 0u64..1 << 53,
        reason in proptest::option::of("[a-zé🦞 ]{1,60}"), ok: bool,
    ) {
        let verdict = if ok { Verdict::Ok } else { Verdict::Dispute(reason.and_then(|text| text.parse().ok())) };
        let ack = Ack { order_sha256, receipt_sha256, verdict, at: Timestamp::from_millis(at) };
        let ours = ack.sign(&requester()).unwrap();
        let mut read = ack::read_batch(ack::write_batch([&ours]).as_bytes()).unwrap();
        let read = read.remove(0).unwrap();
        let claim = Claim { requester: requester().node_id(), order_sha256, receipt_sha256 };
        prop_assert_eq!(read.clone().verify_for(&claim).unwrap(), ours);
        let of_another = Claim { requester: worker().node_id(), ..claim };
        prop_assert_eq!(read.clone().verify_for(&of_another), Err(Rejected::BadSignature.into()));
        let mut elsewhere = claim;
        elsewhere.order_sha256[0] ^= 1;
        prop_assert_eq!(read.verify_for(&elsewhere), Err(AckRefused::AnotherOrder));
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Ack::parse(&bytes);
        let _ = ack::read_batch(&bytes);
    }
}
