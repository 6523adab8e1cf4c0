//! A task at the owner's own engine, at another server, or at a worker of version 1: an answer in one piece, on
//! one connection. What such a process died over is asked anew.

use super::{
    Spread, answer,
    came::{Came, Said},
    flight::Flight,
    request::Request,
};
use crate::{
    attempt::{Ask, Timeouts},
    books::{Books, Served},
    candidates::path_at,
    outcome::{Outcome, Reason, WholeAnswer},
    own_engine::ask_upstream,
    upstream::Upstream,
};
use http::{HeaderName, HeaderValue, header};
use protocol::{Credits, Price, Receipt, Usage, carriers, order::max_input_tokens};
use std::{sync::Arc, time::Instant};

const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

impl Spread<'_> {
    /// The owner's own engine, another server, or a worker of version 1: an answer in one piece.
    pub(super) async fn at_engine(&self, flight: Flight, request: Request) -> bool {
        let upstream = Arc::clone(&flight.upstream);
        let body = request.body_for(&upstream);
        let bytes = body.len() as u64;
        let reserved = match upstream.node() {
            // It knows of no orders: what it may cost is what one would have said.
            Some(_) => {
                let input_tokens = max_input_tokens(bytes);
                Price::COMMON.charge(Usage { input_tokens, output_tokens: request.output_max })
            }
            None => Credits::ZERO,
        };
        let lease = self.new_lease(&flight, None, reserved, None);
        let Some(lease) = self.lease(&flight, lease).await else { return false };
        let answer_timeout = request.route.answer_timeout;
        let model = request.sought().model_for(&upstream).clone();
        let ask = Ask {
            path: path_at(&upstream, request.endpoint.path()),
            body,
            model: &model,
            output_wanted: request.view.max_output,
            native: None,
            requester: upstream.node().map(|_| self.node.me),
            order: None,
            authorization: upstream.server.as_ref().and_then(|server| server.authorization.clone()),
            forwarded: &JSON,
            streamed: false,
            timeouts: Timeouts { first_byte: answer_timeout, silence: None, answer: answer_timeout },
        };
        let output_max = request.output_max;
        drop(request);
        let sent = Instant::now();
        upstream.sent(sent);
        let outcome = tokio::select! {
            biased;
            outcome = ask_upstream(self.node, &upstream, &ask) => outcome,
            () = lease.cancel.cancelled() => {
                self.came_down(flight, &lease, None, Came::of(Said::Cut)).await;
                return true;
            }
        };
        drop(ask);
        let (mut came, whole) = heard(outcome, &upstream);
        came.unordered =
            whole.as_ref().map_or(Credits::ZERO, |answer| charged_without_order(answer, reserved));
        self.came_down(flight, &lease, None, came).await;
        if let (Some(worker), Some(answer)) = (upstream.node(), &whole) {
            let served = Served { node: self.node, worker, order: None, output_max, bytes };
            Books::Served(served).close_whole(&answer.body, answer.receipt.as_deref()).await;
        }
        true
    }
}

/// What an answer in one piece is to its task.
fn heard(outcome: Outcome, upstream: &Upstream) -> (Came, Option<WholeAnswer>) {
    match outcome {
        Outcome::Whole(answer) => match answer::read(answer.body.to_vec()) {
            Ok(read) => (Came::of(Said::Answered(read)), Some(answer)),
            Err(error) => (Came::bad(error.to_string()), None),
        },
        Outcome::Stream(_) => (Came::bad("it streamed what was to come whole"), None),
        Outcome::Verdict(refusal) => (Came::of(Said::Wrong(refusal)), None),
        Outcome::Next(Reason::Status(404, words)) if upstream.is_own() => {
            (Came::of(Said::Absent(words)), None)
        }
        Outcome::Next(reason) => (Came::nothing(reason), None),
    }
}

/// What the receipt of a worker of version 1 charges, if there is one. It is checked by who keeps it; until then it
/// is the worker's word, and worth no more than what would have been ordered, as in the books.
fn charged_without_order(answer: &WholeAnswer, at_most: Credits) -> Credits {
    let receipt =
        answer.receipt.as_deref().map(|carried| carriers::from_base64::<Receipt>(carried.as_bytes()));
    let usage = receipt.and_then(Result::ok).map(|receipt| receipt.unverified().usage);
    usage.map_or(Credits::ZERO, |usage| Price::COMMON.charge(usage)).min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::{Keypair, Requester, Timestamp, Verified, receipt::Nonce};

    #[test]
    fn a_worker_of_version_1_counts_for_no_more_than_would_have_been_ordered() {
        let key = Keypair::from_seed(&[2; 32]);
        let at = Timestamp::from_millis(1_790_000_000_000);
        let charged = |input_tokens| {
            let receipt = Receipt {
                job_id: "0b2b9a0e-6a0d-4c76-8a43-0d5c4b6e2f11".into(),
                nonce: Nonce([7; 16]),
                requester: Requester::Anonymous,
                worker: key.node_id(),
                model: "m:1".parse().unwrap(),
                usage: Usage { input_tokens, output_tokens: 5 },
                started_at: at,
                completed_at: at,
                answers: None,
            };
            let signed = Verified::sign(receipt, &key).unwrap();
            let receipt = Some(carriers::to_header(signed.signed()));
            let answer =
                WholeAnswer { status: 200, content_type: String::new(), body: Bytes::new(), receipt };
            charged_without_order(&answer, Credits::saturating(100))
        };
        assert_eq!(charged(3), Credits::saturating(8));
        assert_eq!(charged(9_000_000_000_000_000), Credits::saturating(100));
    }
}
