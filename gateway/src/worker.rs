//! A requester's request to the worker: a place in the engine, the answer metered on its way, the
//! receipt before its end.

mod request;

pub use request::Request;

use crate::{
    admit,
    books::Books,
    credit::{self, Admitted},
    downstream::{Downstream, Gone},
    exchange::{Ended, Exchange, Role},
    failure::{Attempted, Failure},
    inference::forwarded,
    inventory::{Inventory, Model},
    node::Node,
    outcome::{Outcome, Reason},
    own_engine::{self, Answered},
    reply::{verdict, whole},
    slots::{Lane, Slot, Slots},
    speeds::Speeds,
    stream::{self, Limits},
};
use bytes::Bytes;
use protocol::ModelName;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A reader that takes less than this ...
const SLOW_READER_BYTES: usize = 1024;
/// ... in this long, while data waits for it, is cut (SPEC section 7).
const SLOW_READER_WITHIN: Duration = Duration::from_secs(30);

/// Room in the engine for others, and the queue before it.
pub struct Engine {
    pub lane: Arc<Lane>,
    pub slots: Arc<Slots>,
    pub speeds: Speeds,
}

impl Engine {
    pub fn new(config: &config::Worker) -> Self {
        let (lane, slots) = (Lane::new(config.concurrency), Slots::new(config.queue));
        Self { lane, slots, speeds: Speeds::default() }
    }

    /// Requests of others that run or wait.
    pub fn depth(&self) -> usize {
        self.lane.in_flight() + self.slots.waiting()
    }

    /// Follows new settings; whoever waits gets the room that is new.
    pub fn resize(&self, config: &config::Worker) {
        self.slots.set_queue_max(config.queue);
        self.lane.set_limit(config.concurrency);
        self.slots.lane_grew(&self.lane);
    }

    /// When a refused requester may come back: a guess that grows with the queue.
    pub fn retry_after(&self) -> Duration {
        let rounds = self.slots.waiting() / self.lane.limit().max(1);
        Duration::from_secs(2 + rounds as u64).min(Duration::from_secs(60))
    }
}

/// Whether this worker lends a model. One that runs in a cloud under a name that hides it is lent only
/// if it is named in full.
pub fn offers(config: &config::Worker, model: &Model) -> bool {
    let named = || config.models.iter().any(|glob| glob.as_str() == model.name.as_str());
    config.offers(model.name.as_str()) && (!model.remote || named())
}

/// What this worker lends of what the engine has.
pub fn lent<'i>(config: &'i config::Worker, engine: &'i Inventory) -> impl Iterator<Item = &'i Model> {
    engine.models().iter().filter(|model| offers(config, model))
}

/// A request that was let in.
struct Begun {
    request: Request,
    body: admit::Body,
    admitted: Admitted,
}

/// What the engine has begun to answer, and what is still needed of the request.
struct Underway<'a> {
    outcome: Outcome,
    books: Books<'a>,
    model: ModelName,
    path: &'static str,
    limits: Limits,
    /// Kept until the answer is over, whichever way that happens.
    _slot: Slot,
}

/// Serves one request for inference.
pub async fn serve(node: &Node, down: &mut Downstream, path: &'static str) -> Result<(), Gone> {
    down.cut_readers_slower_than(SLOW_READER_BYTES, SLOW_READER_WITHIN);
    // Boxes, one after the other: while the answer flows, nothing is kept of what was before it.
    let Some(begun) = Box::pin(begin(node, down, path)).await? else { return Ok(()) };
    down.keep_tally();
    let view = &begun.request.view;
    let mut exchange = Exchange::begin(node, Role::Worker, &view.model, view.stream, &down.request_id);
    let ended = match Box::pin(ask(node, down, begun)).await {
        Ok(Ok(underway)) => {
            exchange.answered("local", 1);
            Box::pin(answer(node, down, underway)).await
        }
        Ok(Err(failure)) => down.fail(&failure).await.map(|()| Ended::failed(&failure)),
        Err(Gone) => Err(Gone),
    };
    let ended = ended.unwrap_or(Ended::Left);
    exchange.finish(&ended);
    if ended == Ended::Left { Err(Gone) } else { Ok(()) }
}

/// Reads the request and reserves what it may cost; `None` if it was answered with an error.
async fn begin(node: &Node, down: &mut Downstream, path: &'static str) -> Result<Option<Box<Begun>>, Gone> {
    if let Some(failure) = node.cannot_keep_receipts() {
        return down.fail_early(&failure).await.map(|()| None);
    }
    let body = match admit::read_json(down, node.config().gateway.max_body, &node.body_memory).await {
        Ok(body) => body,
        Err(failure) => return down.fail_early(&failure).await.map(|()| None),
    };
    let request = match read(node, down, path, body.bytes.clone()).await {
        Ok(request) => request,
        Err(failure) => return down.fail(&failure).await.map(|()| None),
    };
    match credit::admit(node, down, &request.asked(node)).await {
        Ok(admitted) => Ok(Some(Box::new(Begun { request, body, admitted }))),
        Err(failure) => down.fail(&failure).await.map(|()| None),
    }
}

/// Waits for a place in the engine, and for its first words; an error where there is no place to wait.
async fn ask<'a>(
    node: &'a Node,
    down: &mut Downstream,
    begun: Box<Begun>,
) -> Result<Result<Underway<'a>, Failure>, Gone> {
    let Begun { request, body: _body, admitted } = *begun;
    let streamed = request.view.stream;
    let Some(slot) = place(node, down, streamed).await? else {
        return Ok(Err(Failure::Busy { retry_after: node.engine.retry_after() }));
    };
    let max_time = node.config().worker.max_time;
    let deadline = Instant::now() + max_time;
    let serving = request.serving(node, admitted);
    let ask = request.ask(node, serving.output_max(), max_time);
    let Ok(Answered { outcome, context }) =
        down.attend(streamed, Box::pin(own_engine::ask(node, &ask))).await
    else {
        if !streamed {
            serving.left_waiting().await;
        }
        return Err(Gone);
    };
    serving.ran_with(context);
    drop(ask);
    Ok(Ok(Underway {
        outcome,
        books: Books::Serving(serving),
        model: request.view.model,
        path: request.path,
        limits: Limits { silence: max_time, deadline: Some(deadline) },
        _slot: slot,
    }))
}

async fn answer(node: &Node, down: &mut Downstream, underway: Underway<'_>) -> Result<Ended, Gone> {
    let Underway { outcome, books, model, path, limits, _slot } = underway;
    let local = node.upstreams.local();
    match outcome {
        Outcome::Stream(open) => {
            local.succeeded();
            down.start_stream(&[]).await?;
            Ok(stream::relay(&node.connections, down, open, &books, limits).await)
        }
        Outcome::Whole(answer) => {
            local.succeeded();
            Ok(Box::pin(whole(down, answer, &books, Vec::new())).await)
        }
        Outcome::Verdict(refusal) => {
            let status = refusal.status;
            verdict(down, refusal, "the engine", Vec::new()).await?;
            Ok(Ended::Refused { status })
        }
        Outcome::Next(reason) => {
            let failure = engine_failure(node, reason, &model, path);
            down.fail(&failure).await?;
            Ok(Ended::failed(&failure))
        }
    }
}

async fn read(node: &Node, down: &Downstream, path: &'static str, body: Bytes) -> Result<Request, Failure> {
    let request = Request::read(path, body, forwarded(down))?;
    request.is_offered(node).await?;
    Ok(request)
}

/// A place in the engine, now or after a wait; `None` if too many wait already.
async fn place(node: &Node, down: &mut Downstream, streamed: bool) -> Result<Option<Slot>, Gone> {
    let Engine { lane, slots, .. } = &node.engine;
    if let Some(slot) = slots.try_take(lane) {
        return Ok(Some(slot));
    }
    let Ok(ticket) = slots.queue(vec![Arc::clone(lane)]) else { return Ok(None) };
    if streamed {
        // At once, so that the gateway knows that it is queued here and not forgotten.
        down.say_waiting().await?;
    }
    down.attend(streamed, ticket.slot()).await
}

fn engine_failure(node: &Node, reason: Reason, model: &ModelName, path: &str) -> Failure {
    if reason.is_a_failure() {
        node.upstreams.local().failed(std::time::Instant::now());
    }
    let attempts = vec![Attempted { peer: "local".into(), reason: reason.to_string() }];
    match reason {
        Reason::Down(_) | Reason::Gone(_) => {
            Failure::NoUpstream { message: "this worker's engine is not up".into(), attempts }
        }
        Reason::TimedOut => Failure::UpstreamTimeout { attempts },
        Reason::Busy(retry_after) => Failure::Busy { retry_after },
        Reason::TooLong(too_long) => Failure::too_long(path, too_long),
        // It was listed a moment ago: the gateway asks elsewhere, and not here again for a while.
        Reason::Status(404, _) => Failure::ModelNotFound { model: model.clone(), near: Vec::new() },
        Reason::Status(..)
        | Reason::NoCredit { .. }
        | Reason::QuoteChanged(_)
        | Reason::TooDear(_)
        | Reason::Broken(_) => Failure::AllUpstreamsFailed { attempts },
    }
}
