//! What a worker's record of a job says: pure.

use super::{
    answer::{self, Answer},
    came::{Came, Papers, Said},
};
use crate::{
    outcome::{Reason, Refusal, brief},
    too_long::{self, TooLong},
    witness::Saw,
};
use bytes::Bytes;
use protocol::{
    Order, Receipt, Signed, Verified,
    canonical::CanonicalBytes,
    judge::{self, Dispute, Judgement, Received, Seen},
};
use serde_json::{json, value::RawValue};
use work::{JobError, JobRecord, JobStatus};

/// What came of a job by its record; `None` while it waits or runs. `cut`: whether we cancelled it, and owe for
/// what nobody saw.
pub(super) fn read(record: JobRecord, order: &Verified<Order>, cut: bool) -> Option<Came> {
    match record.status {
        JobStatus::Queued | JobStatus::Running => None,
        JobStatus::Done => Some(done(record, order)),
        JobStatus::Error => Some(failed(record, order, cut)),
    }
}

fn done(record: JobRecord, order: &Verified<Order>) -> Came {
    let carried = record.signed_receipt.as_deref();
    let (answer, seen) = match result(record.result.as_deref()) {
        Ok(result) => result,
        Err(why) => {
            let papers = papers(carried, order, &Received::Nothing).unwrap_or_default();
            return Came::with(Said::Nothing(Reason::Broken(why)), papers).seen(Saw::Nothing);
        }
    };
    match papers(carried, order, &Received::Whole(seen)) {
        Ok(papers) => judged(answer, papers).seen(Saw::Whole(seen)),
        // An answer that is not used is not paid for, whatever else is shown for it later.
        Err(why) => Came::bad(why).seen(Saw::Nothing),
    }
}

/// The answer in a record, if it is one.
fn result(result: Option<&RawValue>) -> Result<(Answer, Seen), String> {
    let result = result.ok_or("it is done, and its result is gone")?;
    let answer = answer::read(result.get().as_bytes().to_vec()).map_err(|error| error.to_string())?;
    let seen = seen(&answer).ok_or("its result has no canonical form")?;
    Ok((answer, seen))
}

/// The answer as the receipt of a job speaks of it (SPEC section 4).
fn seen(answer: &Answer) -> Option<Seen> {
    let canonical = CanonicalBytes::of_text(answer.body.as_str().as_bytes()).ok()?;
    let bytes = canonical.as_bytes().len() as u64;
    let text_bytes = upstream_ollama::usage::text_bytes(canonical.as_bytes());
    Some(Seen { bytes, sha256: canonical.sha256(), text_bytes: Some(text_bytes) })
}

/// An answer whose receipt is disputed is not believed either.
fn judged(answer: Answer, papers: Option<Papers>) -> Came {
    let dispute = papers.as_ref().and_then(|papers| match papers.judgement {
        Judgement::Dispute(dispute) => Some(dispute),
        Judgement::Ok | Judgement::Refuse(_) => None,
    });
    let said = match dispute {
        None => Said::Answered(answer),
        Some(Dispute::TooLate) => Said::Nothing(Reason::TimedOut),
        Some(dispute) => Said::Nothing(Reason::Broken(format!("its receipt is disputed: {dispute}"))),
    };
    Came::with(said, papers)
}

fn failed(record: JobRecord, order: &Verified<Order>, cut: bool) -> Came {
    let error = record.error.unwrap_or_else(|| JobError::new("upstream_error", "it failed and says not why"));
    // Of what was cut nothing came that could be compared. A receipt that is none costs nothing.
    let received = if cut { Received::Unknown } else { Received::Nothing };
    let papers = papers(record.signed_receipt.as_deref(), order, &received).unwrap_or_default();
    let message = brief(&error.message);
    // A record is ended when its receipt is claimed: where it has none, none is due.
    let unseen = cut && papers.is_some();
    let said = match error.kind.as_str() {
        "invalid_request_error" => Said::Wrong(refusal(&error)),
        "model_not_found" => Said::Nothing(Reason::Status(404, message)),
        too_long::CODE => Said::Nothing(Reason::TooLong(TooLong::of_job(&error.message, None))),
        "expired" if record.started_at.is_none() => Said::Unbegun,
        "expired" => Said::Nothing(Reason::TimedOut),
        kind => Said::Nothing(Reason::Broken(format!("{}: {message}", brief(kind)))),
    };
    let came = Came::with(said, papers);
    if unseen { came } else { came.seen(Saw::Nothing) }
}

/// A record has no status; the engine's was one of those that are about the request.
fn refusal(error: &JobError) -> Refusal {
    let body = json!({"error": {"message": error.message, "type": error.kind, "param": null, "code": null}});
    Refusal { status: 400, content_type: "application/json".into(), body: Bytes::from(body.to_string()) }
}

/// The receipt, checked and judged; an error if it is none of this order's.
fn papers(
    carried: Option<&RawValue>,
    order: &Verified<Order>,
    received: &Received,
) -> Result<Option<Papers>, String> {
    let Some(carried) = carried else { return Ok(None) };
    let receipt = Signed::<Receipt>::parse(carried.get().as_bytes()).and_then(Signed::verify);
    let receipt = receipt.map_err(|error| format!("its receipt is not to be believed: {error}"))?;
    match judge::judge(&receipt, order.signed(), received) {
        Judgement::Refuse(refusal) => Err(format!("its receipt {refusal}")),
        judgement => Ok(Some(Papers { receipt, judgement })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Credits, Keypair, Price, Requester, Timestamp, Usage, canonical::sha256, receipt::Nonce};
    use serde_json::Value;

    const NOW: u64 = 1_790_000_000_000;
    const RESULT: &str =
        r#"{ "usage":{"prompt_tokens":3,"completion_tokens":5}, "choices":[{"text":"abc"}] }"#;

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed(&[seed; 32])
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn order() -> Verified<Order> {
        let order = Order {
            order_id: "0b2b9a0e-6a0d-4c76-8a43-0d5c4b6e2f11".into(),
            requester: key(1).node_id(),
            worker: key(2).node_id(),
            model: "m:1".parse().unwrap(),
            body_sha256: [0; 32],
            max_input_tokens: 100,
            max_output_tokens: 100,
            max_credits: Credits::saturating(200),
            created_at: at(NOW),
            expires_at: at(NOW + 1000),
            answer_by: Some(at(NOW + 60_000)),
            model_digest: None,
            price: Some(Price::COMMON),
        };
        Verified::sign(order, &key(1)).unwrap()
    }

    fn receipt(signer: u8, completed_at: u64, result: &str) -> Value {
        let value: Value = serde_json::from_str(result).unwrap();
        let canonical = CanonicalBytes::of(&value).unwrap();
        let usage = Usage { input_tokens: 3, output_tokens: 5 };
        let receipt = Receipt {
            job_id: order().order_id.clone(),
            nonce: Nonce([7; 16]),
            requester: Requester::Node(key(1).node_id()),
            worker: key(signer).node_id(),
            model: "m:1".parse().unwrap(),
            usage,
            started_at: at(NOW),
            completed_at: at(completed_at),
            answers: Some(protocol::Answer {
                order_sha256: order().signed().sha256(),
                response_sha256: sha256(canonical.as_bytes()),
                response_bytes: Some(canonical.as_bytes().len() as u64),
                credits: Price::COMMON.charge(usage),
                model_digest: None,
                cut: false,
                estimated: false,
                context: None,
            }),
        };
        serde_json::from_str(&Verified::sign(receipt, &key(signer)).unwrap().to_json()).unwrap()
    }

    fn said(record: &str) -> Option<Came> {
        read(serde_json::from_str(record).unwrap(), &order(), false)
    }

    fn finished(result: &str, receipt: &Value) -> Came {
        let record = format!(
            r#"{{"jobId":"j","status":"done","createdAt":1,"result":{result},"signedReceipt":{receipt}}}"#
        );
        said(&record).unwrap()
    }

    #[test]
    fn a_job_that_waits_or_runs_says_nothing_yet() {
        assert!(said(r#"{"jobId":"j","status":"queued","createdAt":1}"#).is_none());
        assert!(said(r#"{"jobId":"j","status":"running","createdAt":1,"startedAt":2}"#).is_none());
    }

    #[test]
    fn a_result_is_believed_with_the_receipt_over_its_canonical_form_whatever_its_spaces() {
        let came = finished(RESULT, &receipt(2, NOW + 1, RESULT));
        assert!(matches!(&came.said, Said::Answered(answer) if answer.usage.output == 5), "{came:?}");
        assert_eq!(came.charged(), Credits::saturating(8));
    }

    #[test]
    fn another_answer_or_another_signer_than_the_receipt_says_is_a_bad_answer() {
        let other = r#"{"choices":[{"text":"another"}]}"#;
        let came = finished(other, &receipt(2, NOW + 1, RESULT));
        assert!(matches!(&came.said, Said::Nothing(Reason::Broken(_))));
        assert_eq!(came.charged(), Credits::ZERO, "what is disputed is not paid");
        let came = finished(RESULT, &receipt(3, NOW + 1, RESULT));
        assert!(matches!(&came.said, Said::Nothing(Reason::Broken(_))) && came.papers.is_none());
        let came = finished("[1]", &receipt(2, NOW + 1, RESULT));
        assert!(matches!(&came.said, Said::Nothing(Reason::Broken(_))));
    }

    #[test]
    fn what_there_was_of_an_answer_is_known_also_where_its_receipt_is_kept_back() {
        let with = |more: &str| said(&format!(r#"{{"jobId":"j","createdAt":1,{more}}}"#)).unwrap();
        let withheld = with(&format!(r#""status":"done","result":{RESULT}"#));
        assert!(matches!((&withheld.said, withheld.saw), (Said::Answered(_), Some(Saw::Whole(_)))));
        let nothing = [
            with(r#""status":"done","result":{"choices":[]}"#),
            with(r#""status":"done""#),
            with(r#""status":"error","error":{"type":"upstream_error","message":"no"}"#),
            finished(RESULT, &receipt(3, NOW + 1, RESULT)),
        ];
        assert!(nothing.iter().all(|came| matches!(came.saw, Some(Saw::Nothing))), "{nothing:?}");
    }

    #[test]
    fn rubbish_that_is_signed_for_is_disputed() {
        let rubbish = r#"{"choices":[]}"#;
        let came = finished(rubbish, &receipt(2, NOW + 1, rubbish));
        let judgement = came.papers.as_ref().map(|papers| papers.judgement);
        assert_eq!(judgement, Some(Judgement::Dispute(Dispute::NoAnswer)));
        assert_eq!(came.charged(), Credits::ZERO);
    }

    #[test]
    fn an_answer_that_completed_after_its_lease_is_late_and_costs_nothing() {
        let came = finished(RESULT, &receipt(2, NOW + 60_001, RESULT));
        assert!(matches!(&came.said, Said::Nothing(Reason::TimedOut)));
        assert_eq!(came.charged(), Credits::ZERO);
    }

    #[test]
    fn who_fails_is_paid_only_where_we_cut_it() {
        let receipt = receipt(2, NOW + 1, RESULT);
        let record = format!(
            r#"{{"jobId":"j","status":"error","createdAt":1,"error":{{"type":"cancelled","message":"no"}},"signedReceipt":{receipt}}}"#
        );
        let read = |cut| read(serde_json::from_str(&record).unwrap(), &order(), cut).unwrap();
        assert_eq!(read(true).charged(), Credits::saturating(8));
        assert_eq!(read(false).charged(), Credits::ZERO, "its word is disputed");
    }

    #[test]
    fn an_error_about_the_request_is_a_verdict_and_any_other_is_the_workers() {
        let error = |kind: &str| {
            let record = format!(
                r#"{{"jobId":"j","status":"error","createdAt":1,"error":{{"type":"{kind}","message":"no"}}}}"#
            );
            said(&record).unwrap().said
        };
        assert!(matches!(error("invalid_request_error"), Said::Wrong(refusal) if refusal.status == 400));
        assert!(matches!(error("model_not_found"), Said::Nothing(Reason::Status(404, _))));
        assert!(matches!(error("expired"), Said::Unbegun), "it was never begun");
        let begun = r#"{"jobId":"j","status":"error","createdAt":1,"startedAt":2,"error":{"type":"expired","message":"no"}}"#;
        assert!(matches!(said(begun).unwrap().said, Said::Nothing(Reason::TimedOut)));
        assert!(matches!(error("worker_restarted"), Said::Nothing(Reason::Broken(_))));
    }
}
