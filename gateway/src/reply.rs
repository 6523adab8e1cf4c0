//! Answers in one piece on their way to whoever asked. The gateway's and the worker's are the same.

use crate::{
    books::Books,
    downstream::{Downstream, Gone},
    exchange::Ended,
    fail_point::FailPoint,
    failure::Failure,
    outcome::{Refusal, WholeAnswer, error_message},
};
use protocol::carriers;

/// Sends a whole answer, books first.
pub async fn whole(
    down: &mut Downstream,
    answer: WholeAnswer,
    books: &Books<'_>,
    mut headers: Vec<(&'static str, String)>,
) -> Ended {
    let receipt = books.close_whole(&answer.body, answer.receipt.as_deref()).await;
    headers.extend(receipt.map(|value| (carriers::RECEIPT_HEADER, value)));
    let usage = upstream_ollama::usage::of_answer(&answer.body);
    if down.is_streaming() {
        // The tool asked for a stream, was told `: waiting`, and the upstream answered in one piece.
        let reason = "the upstream did not stream its answer".to_owned();
        let told = down.fail(&Failure::UpstreamLost { reason: reason.clone() }).await;
        return told.map_or(Ended::Left, |()| Ended::Lost { reason });
    }
    match down.answer(answer.status, &answer.content_type, &headers, answer.body).await {
        Ok(()) => {
            books.sent(FailPoint::ReceiptSent);
            Ended::Complete { usage }
        }
        Err(Gone) => Ended::Left,
    }
}

/// Passes on what an upstream says of the request: its own words where they are an error object,
/// ours where they are not.
pub async fn verdict(
    down: &mut Downstream,
    refusal: Refusal,
    who: &str,
    mut headers: Vec<(&'static str, String)>,
) -> Result<(), Gone> {
    let message = error_message(&refusal.body);
    if let (Some(_), false) = (&message, down.is_streaming()) {
        headers.push(("x-should-retry", "false".into()));
        return down.answer(refusal.status, &refusal.content_type, &headers, refusal.body).await;
    }
    let message =
        message.unwrap_or_else(|| format!("{who} refused the request with status {}", refusal.status));
    down.fail(&Failure::BadRequest { code: "invalid_value", param: None, message }).await
}
