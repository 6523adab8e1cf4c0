//! One job in the engine, from its turn to its end: asked, signed, kept, claimed, in this order.

use super::{
    holding::{self, Held, NotAdmitted},
    verdict::{Verdict, verdict},
};
use crate::{
    books::{Claim, Made, Serving},
    clock,
    exchange::{Ended, Exchange, Role},
    failure::Failure,
    node::Node,
    outcome::{Outcome, Reason},
    own_engine::{self, Answered},
    slots::Slot,
    tally::Tally,
    worker::Request,
};
use bytes::Bytes;
use http::HeaderValue;
use protocol::{Price, Timestamp, canonical::CanonicalBytes};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upstream_ollama::without_metadata;
use work::{
    JobError, JsonLine, StoreError,
    lent::{LentEnd, LentJob, NotRunning, PutBack},
};

/// A job whose credits another process of this home holds, or cannot be written of, waits this long.
const NOT_NOW: Duration = Duration::from_secs(1);

/// How long until what could not be kept is kept again. The place in the engine is held meanwhile: a worker
/// that cannot keep results makes no more.
const KEEP_AGAIN: Duration = Duration::from_secs(1);

/// What became of a job's turn.
enum Came {
    /// It is over; the claim is to be kept next.
    End(LentEnd, Option<Box<Claim>>),
    /// It waits again.
    Back(PutBack, Duration),
}

/// Runs a job that was begun. The slot is held until its end is kept.
pub(super) async fn run(node: &Node, job: LentJob, slot: Slot) {
    let cut = node.lending.begin(&job.id);
    match request(&job) {
        Ok(request) => run_request(node, &job, &request, &cut).await,
        Err(error) => drop(keep_end(node, &job.id, LentEnd::Failed(error)).await),
    }
    drop(slot);
    node.lending.over(&job.id);
    node.lending.wake.notify_one();
}

/// As it was read when it came.
fn request(job: &LentJob) -> Result<Request, JobError> {
    let unreadable = |error: upstream_ollama::BadBody| JobError::new(error.code(), error.to_string());
    let (_, body) = without_metadata(&Bytes::from(job.body.clone())).map_err(unreadable)?;
    Request::read(job.endpoint.path(), body, Vec::new()).map_err(unreadable)
}

async fn run_request(node: &Node, job: &LentJob, request: &Request, cut: &CancellationToken) {
    let admitted = match holding::admitted(node, job, request, &job.body).await {
        Ok(admitted) => admitted,
        Err(NotAdmitted::NotNow) => return put_back(node, &job.id, PutBack::Untried, NOT_NOW).await,
        Err(NotAdmitted::Never(error)) => {
            keep_end(node, &job.id, LentEnd::Failed(error)).await;
            return;
        }
    };
    let id = HeaderValue::try_from(&job.id).unwrap_or(HeaderValue::from_static("job"));
    let mut exchange = Exchange::begin(node, Role::Worker, &request.view.model, false, &id);
    let price = admitted.price;
    let serving = request.serving(node, admitted);
    let (came, ended) = in_engine(node, job, request, &serving, cut, &mut exchange).await;
    match came {
        Came::End(end, claim) => {
            if keep_end(node, &job.id, end).await
                && let Some(claim) = claim
            {
                self::claim(node, &job.id, &serving, *claim).await;
            }
        }
        Came::Back(attempt, pause) => {
            hold_again(node, &job.id, serving, price);
            put_back(node, &job.id, attempt, pause).await;
        }
    }
    exchange.finish(&ended);
}

/// Asks the engine, until it answers, the job is cut, or the node stops.
async fn in_engine(
    node: &Node,
    job: &LentJob,
    request: &Request,
    serving: &Serving<'_>,
    cut: &CancellationToken,
    exchange: &mut Exchange<'_>,
) -> (Came, Ended) {
    let local = node.upstreams.local();
    local.sent(Instant::now());
    let ask = request.ask(node, serving.output_max(), time_for(node, job.answer_by));
    let outcome = tokio::select! {
        biased;
        () = cut.cancelled() => {
            let claim = serving.cut_unseen().map(Box::new);
            let receipt = claim.as_ref().map(|claim| claim.receipt.to_json());
            return (Came::End(LentEnd::Cut { receipt }, claim), Ended::Left);
        }
        // It is begun anew after the next start: nothing of it is owed.
        () = node.stopping.cancelled() => {
            let ended = Ended::failed(&Failure::Draining);
            return (Came::Back(PutBack::Untried, Duration::ZERO), ended);
        }
        Answered { outcome, context } = own_engine::ask(node, &ask) => {
            serving.ran_with(context);
            outcome
        }
    };
    note_health(node, &outcome, job.answer_by);
    exchange.answered("local", 1);
    match verdict(outcome, job.attempts, job.answer_by, clock::now()) {
        Verdict::Answered(body) => answered(serving, &body),
        Verdict::Failed(error) => {
            let ended = Ended::Lost { reason: error.message.clone() };
            (Came::End(LentEnd::Failed(error), None), ended)
        }
        Verdict::Again(attempt, pause) => {
            (Came::Back(attempt, pause), Ended::Lost { reason: "the engine is to be asked again".into() })
        }
    }
}

/// The engine's time: what the owner allows, and no longer than the answer is wanted.
fn time_for(node: &Node, answer_by: Option<Timestamp>) -> Duration {
    let max_time = node.config().worker.max_time;
    let left = answer_by.map(|by| Duration::from_millis(by.millis_since(clock::now())));
    left.map_or(max_time, |left| left.min(max_time))
}

/// An engine that had less time than the owner allows is not at fault: else who orders in a hurry could have
/// it taken for broken.
fn note_health(node: &Node, outcome: &Outcome, answer_by: Option<Timestamp>) {
    let local = node.upstreams.local();
    let hurried = answer_by.is_some_and(|by| by <= clock::now());
    match outcome {
        Outcome::Next(Reason::TimedOut) if hurried => {}
        Outcome::Next(reason) if reason.is_a_failure() => local.failed(Instant::now()),
        Outcome::Next(_) | Outcome::Verdict(_) => {}
        Outcome::Whole(_) | Outcome::Stream(_) => local.succeeded(),
    }
}

/// The receipt speaks of the answer's canonical form: what the requester reads in the record is that, however
/// its bytes were written.
fn answered(serving: &Serving<'_>, body: &[u8]) -> (Came, Ended) {
    let line = JsonLine::new(body.to_vec()).map_err(|error| error.to_string());
    let read = line.and_then(|line| {
        let canonical = CanonicalBytes::of_text(line.as_str().as_bytes());
        canonical.map(|canonical| (line, canonical)).map_err(|error| error.to_string())
    });
    let (result, canonical) = match read {
        Ok(read) => read,
        Err(reason) => {
            let error = JobError::new("upstream_error", reason.as_str());
            return (Came::End(LentEnd::Failed(error), None), Ended::Lost { reason });
        }
    };
    let usage = upstream_ollama::usage::of_answer(body);
    let made = Made { usage: usage.unwrap_or_default(), estimated: false, cut: false };
    let Some(claim) = serving.sign(made, &Tally::of(canonical.as_bytes())) else {
        let error = JobError::new("internal_error", "this worker could not sign a receipt");
        return (Came::End(LentEnd::Failed(error), None), Ended::Failed { code: "internal_error" });
    };
    let receipt = Some(claim.receipt.to_json());
    (Came::End(LentEnd::Done { result, receipt }, Some(Box::new(claim))), Ended::Complete { usage })
}

/// Whether the end is kept. It is tried until it is, or the node stops: then it runs again.
async fn keep_end(node: &Node, id: &str, end: LentEnd) -> bool {
    loop {
        match node.work.lent().end(id, end.clone(), clock::now()).await {
            Ok(()) => return true,
            Err(NotRunning::NotHere) => return false,
            Err(NotRunning::Store(error)) if !try_later(node, id, &error).await => return false,
            Err(NotRunning::Store(_)) => {}
        }
    }
}

async fn claim(node: &Node, id: &str, serving: &Serving<'_>, claim: Claim) {
    if serving.keep(claim).await.is_none() {
        node.lending.claims_due.send_replace(true);
        return;
    }
    if let Err(error) = node.work.lent().claimed(id).await {
        tracing::warn!(%error, id, "a claimed receipt is looked at again");
        node.lending.claims_due.send_replace(true);
    }
}

/// Its credits are held on: it is the same job that is run later.
fn hold_again(node: &Node, id: &str, serving: Serving<'_>, price: Price) {
    if let Some(reservation) = serving.give_back() {
        node.lending.hold(id.to_owned(), Held { reservation, price });
    }
}

async fn put_back(node: &Node, id: &str, attempt: PutBack, pause: Duration) {
    loop {
        let now = clock::now();
        let held_until = Timestamp::from_millis(now.as_millis() + pause.as_millis() as u64);
        match node.work.lent().put_back(id, attempt, held_until, now).await {
            Ok(()) | Err(NotRunning::NotHere) => return,
            Err(NotRunning::Store(error)) if !try_later(node, id, &error).await => return,
            Err(NotRunning::Store(_)) => {}
        }
    }
}

/// Waits a moment; whether to try again.
async fn try_later(node: &Node, id: &str, error: &StoreError) -> bool {
    tracing::error!(%error, id, "what became of a job could not be kept; it is tried again");
    tokio::select! {
        () = sleep(KEEP_AGAIN) => true,
        () = node.stopping.cancelled() => false,
    }
}
