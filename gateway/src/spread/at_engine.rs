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
        // Its word alone: it is worth no more than what would have been ordered, as in the books.
        came.unordered = whole.as_ref().map_or(Credits::ZERO, charged_without_order).min(reserved);
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

/// What the receipt of a worker of version 1 charges, if there is one; it is checked by who keeps it.
fn charged_without_order(answer: &WholeAnswer) -> Credits {
    let receipt =
        answer.receipt.as_deref().map(|carried| carriers::from_base64::<Receipt>(carried.as_bytes()));
    let usage = receipt.and_then(Result::ok).map(|receipt| receipt.unverified().usage);
    usage.map_or(Credits::ZERO, |usage| Price::COMMON.charge(usage))
}
