//! Receipts that answer an order: what they must say, and what their requester thinks of them.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{NOW, answer, cases, plain, receipt, requester, text, vector, worker};
use proptest::prelude::*;
use protocol::{
    Answer, Body, Credits, Order, Price, Receipt, Rejected, Requester, Signed, Timestamp, Verified,
    ack::{Claim, Verdict},
    canonical::sha256,
    judge::{Dispute, Judgement, Received, Refusal, Seen, judge},
    limits::UNSEEN_TOKENS_MAX,
};
use serde_json::json;

#[test]
fn receipts_are_judged_as_theirs_are() {
    let words = vector("acks.json");
    let order = Signed::<Order>::from_value(&words["order"]).and_then(Signed::verify).unwrap();
    let sent = text(&words, "sent_before_the_receipt").as_bytes();
    // They leave open how much text the tokens made: the few bytes sent stand for a longer answer.
    let seen = Seen { bytes: sent.len() as u64, sha256: sha256(sent), text_bytes: None };
    for case in cases(&words["receipts"]) {
        let name = text(case, "name");
        let receipt = Signed::<Receipt>::from_value(&case["signed"]).and_then(Signed::verify).unwrap();
        assert_eq!(hex::encode(receipt.signed().sha256()), text(case, "receiptSha256"), "{name}");
        let answer = receipt.answers.as_ref().unwrap();
        let received = if answer.cut { Received::Part(seen) } else { Received::Whole(seen) };
        let judgement = judge(&receipt, order.signed(), &received);
        let verdict = match judgement {
            Judgement::Ok => "ok",
            Judgement::Dispute(_) => "dispute",
            Judgement::Refuse(Refusal::AnotherOrder) => "refuse",
            Judgement::Refuse(other) => panic!("{name}: {other}"),
        };
        assert_eq!(verdict, text(case, "verdict"), "{name}");
        assert_eq!(Claim::of(&order, &receipt).is_some(), judgement.verdict().is_some(), "{name}");
    }
}

/// A receipt that an honest worker writes for [`plain`], what it answers with, and what arrived.
struct Exchange {
    order: Order,
    receipt: Receipt,
    answer: Answer,
    received: Received,
}

const SENT: &[u8] = b"data: {}\n\n";

fn seen() -> Seen {
    Seen { bytes: SENT.len() as u64, sha256: sha256(SENT), text_bytes: Some(16) }
}

impl Exchange {
    fn honest() -> Self {
        let answer = Answer {
            response_sha256: sha256(SENT),
            response_bytes: Some(SENT.len() as u64),
            cut: false,
            estimated: false,
            ..answer()
        };
        let price = Some(Price { input: 1000, output: 1000 });
        let model_digest = answer.model_digest;
        let answer_by = Some(Timestamp::from_millis(NOW + 1000));
        let order = Order { price, model_digest, answer_by, ..plain() };
        Self { order, receipt: receipt(None), answer, received: Received::Whole(seen()) }
    }

    fn judge(self) -> Judgement {
        let order = Verified::sign(self.order, &requester()).unwrap();
        // A test that names another order keeps it.
        let of_ours = self.answer.order_sha256 == answer().order_sha256;
        let order_sha256 = if of_ours { order.signed().sha256() } else { self.answer.order_sha256 };
        let answers = Some(Answer { order_sha256, ..self.answer });
        let key = if self.receipt.worker == worker().node_id() { worker() } else { requester() };
        let receipt = Verified::sign(Receipt { answers, ..self.receipt }, &key).unwrap();
        judge(&receipt, order.signed(), &self.received)
    }
}

fn judged(change: impl FnOnce(&mut Exchange)) -> Judgement {
    let mut exchange = Exchange::honest();
    change(&mut exchange);
    exchange.judge()
}

fn credits(amount: u64) -> Credits {
    Credits::new(amount).unwrap()
}

#[test]
fn an_honest_receipt_is_acknowledged() {
    assert_eq!(judged(|_| ()), Judgement::Ok);
    assert_eq!(judged(|x| x.answer.credits = credits(0)), Judgement::Ok, "a gift");
    assert_eq!(judged(|x| x.answer.model_digest = None), Judgement::Ok, "not every engine says its digest");
    assert_eq!(judged(|x| x.order.model_digest = None), Judgement::Ok, "none was quoted");
    assert_eq!(judged(|x| x.answer.response_bytes = None), Judgement::Ok);
    assert_eq!(judged(|x| x.receipt.completed_at = Timestamp::from_millis(NOW + 1000)), Judgement::Ok);
    let unquoted = |x: &mut Exchange| {
        x.order.price = None;
        x.answer.credits = x.order.max_credits;
    };
    assert_eq!(judged(unquoted), Judgement::Ok, "without a quote `maxCredits` is all that was agreed on");
}

#[test]
fn what_is_not_for_this_order_is_refused() {
    let plain_receipt = Verified::sign(receipt(None), &worker()).unwrap();
    let order = Verified::sign(plain(), &requester()).unwrap();
    let judgement = judge(&plain_receipt, order.signed(), &Received::Unknown);
    assert_eq!(judgement, Judgement::Refuse(Refusal::NoOrder));
    for (change, refusal) in [
        ((|x| x.answer.order_sha256 = [9; 32]) as fn(&mut Exchange), Refusal::AnotherOrder),
        (|x| x.receipt.worker = requester().node_id(), Refusal::AnotherWorker),
        (|x| x.receipt.requester = Requester::Anonymous, Refusal::AnotherRequester),
        (|x| x.receipt.requester = Requester::Node(worker().node_id()), Refusal::AnotherRequester),
    ] {
        let judgement = judged(change);
        assert_eq!((judgement, judgement.verdict()), (Judgement::Refuse(refusal), None));
    }
}

#[test]
fn what_exceeds_the_order_is_disputed() {
    let other_job = "9b2f6f0a-31c7-4d0e-8f4b-6f0a54c1b003";
    assert_eq!(judged(|x| x.receipt.job_id = other_job.into()), Judgement::Dispute(Dispute::AnotherJob));
    let other_model = judged(|x| x.receipt.model = "llama3.1".parse().unwrap());
    assert_eq!(other_model, Judgement::Dispute(Dispute::AnotherModel));
    let other_digest = judged(|x| x.answer.model_digest = Some([8; 32]));
    assert_eq!(other_digest, Judgement::Dispute(Dispute::AnotherDigest));
    let late = judged(|x| x.receipt.completed_at = Timestamp::from_millis(NOW + 1001));
    assert_eq!(late, Judgement::Dispute(Dispute::TooLate));
    let input = judged(|x| x.receipt.usage.input_tokens = 301);
    assert_eq!(input, Judgement::Dispute(Dispute::InputOverOrder { tokens: 301, max: 300 }));
    let output = judged(|x| x.receipt.usage.output_tokens = 1001);
    assert_eq!(output, Judgement::Dispute(Dispute::OutputOverOrder { tokens: 1001, max: 1000 }));
    let over = judged(|x| x.answer.credits = credits(3001));
    let max = credits(3000);
    assert_eq!(over, Judgement::Dispute(Dispute::CreditsOverOrder { credits: credits(3001), max }));
    let dear = judged(|x| x.answer.credits = credits(8));
    let due = credits(7);
    assert_eq!(dear, Judgement::Dispute(Dispute::CreditsOverPrice { credits: credits(8), due }));
}

#[test]
fn an_answer_that_changed_on_its_way_is_disputed() {
    let another = Judgement::Dispute(Dispute::AnotherAnswer);
    assert_eq!(judged(|x| x.answer.response_sha256 = [0; 32]), another);
    for bytes in [0, SENT.len() as u64 - 1, SENT.len() as u64 + 1] {
        assert_eq!(judged(|x| x.answer.response_bytes = Some(bytes)), another, "{bytes}");
    }
}

#[test]
fn of_a_part_that_arrived_only_what_can_be_compared_is() {
    let part = |sent: u64, sha256: [u8; 32]| {
        judged(|x| {
            x.received = Received::Part(Seen { sha256, ..seen() });
            x.answer = Answer { cut: true, response_bytes: Some(sent), ..x.answer.clone() };
        })
    };
    let came = SENT.len() as u64;
    assert_eq!(part(came, sha256(SENT)), Judgement::Ok);
    assert_eq!(part(came, [0; 32]), Judgement::Dispute(Dispute::AnotherAnswer));
    assert_eq!(part(came - 1, [0; 32]), Judgement::Dispute(Dispute::AnotherAnswer), "that prefix differs");
    assert_eq!(part(came + 1, [0; 32]), Judgement::Ok, "more was sent than came");
    let unknown = |x: &mut Exchange| {
        x.received = Received::Unknown;
        x.answer.response_sha256 = [0; 32];
    };
    assert_eq!(judged(unknown), Judgement::Ok);
}

#[test]
fn more_tokens_than_text_are_disputed_where_the_text_was_seen() {
    let tokens = |tokens: u64, received: Received| {
        judged(|x| {
            x.receipt.usage.output_tokens = tokens;
            x.received = received;
        })
    };
    // The end of an answer is a token without text, and the marks between its parts are some more.
    let most = 16 + UNSEEN_TOKENS_MAX;
    assert_eq!(tokens(most, Received::Whole(seen())), Judgement::Ok);
    let dispute = Judgement::Dispute(Dispute::TokensOverText { tokens: most + 1, text_bytes: 16 });
    assert_eq!(tokens(most + 1, Received::Whole(seen())), dispute);
    assert_eq!(tokens(most + 1, Received::Part(seen())), dispute);
    assert_eq!(tokens(most + 1, Received::Whole(Seen { text_bytes: None, ..seen() })), Judgement::Ok);
    // Of what came only in part a few more may have been on their way; where nothing came, nothing is owed.
    let part = Received::Part(Seen { bytes: 1, ..seen() });
    assert_eq!(tokens(most + 1, part), Judgement::Ok);
    assert_eq!(judged(|x| x.received = Received::Nothing), Judgement::Dispute(Dispute::NoAnswer));
}

#[test]
fn every_dispute_is_told_with_its_reason() {
    let (tokens, credits) = (u64::MAX, Credits::MAX);
    for dispute in [
        Dispute::AnotherJob,
        Dispute::AnotherModel,
        Dispute::AnotherDigest,
        Dispute::TooLate,
        Dispute::InputOverOrder { tokens, max: tokens },
        Dispute::OutputOverOrder { tokens, max: tokens },
        Dispute::CreditsOverOrder { credits, max: credits },
        Dispute::CreditsOverPrice { credits, due: credits },
        Dispute::AnotherAnswer,
        Dispute::TokensOverText { tokens, text_bytes: tokens },
    ] {
        let reason = dispute.to_string().parse().unwrap();
        assert_eq!(Judgement::Dispute(dispute).verdict(), Some(Verdict::Dispute(Some(reason))));
    }
}

#[test]
fn a_receipt_that_names_an_order_says_all_of_it_rightly_or_is_refused() {
    for (field, wrong) in [
        ("orderSha256", json!(null)),
        ("orderSha256", json!("AB".repeat(32))),
        ("responseSha256", json!("ab")),
        ("responseBytes", json!(-1)),
        ("credits", json!(1u64 << 53)),
        ("modelDigest", json!(7)),
        ("cut", json!("true")),
        ("estimated", json!(1)),
        ("context", json!(0.5)),
    ] {
        let mut object = receipt(Some(answer())).to_value();
        object[field] = wrong.clone();
        let outcome = Receipt::from_value(&object);
        assert!(matches!(outcome, Err(Rejected::Malformed(_))), "{field}: {wrong}: {outcome:?}");
        // The same in a receipt that names no order is a field of somebody else's.
        object.as_object_mut().unwrap().remove("orderSha256");
        assert_eq!(Receipt::from_value(&object).unwrap(), receipt(None), "{field}");
    }
    let mut object = receipt(Some(answer())).to_value();
    for field in ["responseBytes", "modelDigest", "cut", "estimated", "context"] {
        object.as_object_mut().unwrap().remove(field);
        assert!(Receipt::from_value(&object).unwrap().answers.is_some(), "{field} may be absent");
    }
    for field in ["responseSha256", "credits"] {
        let mut object = object.clone();
        object.as_object_mut().unwrap().remove(field);
        assert!(Receipt::from_value(&object).is_err(), "{field} may not be absent");
    }
}

prop_compose! {
    fn any_answer()(
        hashes in any::<[[u8; 32]; 3]>(),
        (known, cut, estimated) in any::<(bool, bool, bool)>(),
        numbers in [0u64..1 << 53, 0..1 << 53, 0..1 << 53],
    ) -> Answer {
        Answer {
            order_sha256: hashes[0],
            response_sha256: hashes[1],
            response_bytes: known.then_some(numbers[0]),
            credits: Credits::new(numbers[1]).unwrap(),
            model_digest: known.then_some(hashes[2]),
            cut,
            estimated,
            context: known.then_some(numbers[2]),
        }
    }
}

proptest! {
    #[test]
    fn a_receipt_that_answers_arrives_as_it_was_signed(answer in any_answer()) {
        let ours = Verified::sign(receipt(Some(answer)), &worker()).unwrap();
        prop_assert_eq!(Signed::parse(ours.to_json().as_bytes()).unwrap().verify().unwrap(), ours);
    }
}
