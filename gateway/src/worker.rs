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

/// Serves one request for inference.
pub async fn serve(node: &Node, down: &mut Downstream, path: &'static str) -> Result<(), Gone> {
    down.cut_readers_slower_than(SLOW_READER_BYTES, SLOW_READER_WITHIN);
    if let Some(failure) = node.cannot_keep_receipts() {
        return down.fail_early(&failure).await;
    }
    let body = match admit::read_json(down, node.config().gateway.max_body, &node.body_memory).await {
        Ok(body) => body,
        Err(failure) => return down.fail_early(&failure).await,
    };
    let request = match read(node, down, path, body.bytes.clone()).await {
        Ok(request) => request,
        Err(failure) => return down.fail(&failure).await,
    };
    let admitted = match credit::admit(node, down, &request.asked(node)).await {
        Ok(admitted) => admitted,
        Err(failure) => return down.fail(&failure).await,
    };
    down.keep_tally();
    let mut exchange =
        Exchange::begin(node, Role::Worker, &request.view.model, request.view.stream, &down.request_id);
    let ended = run(node, down, request, body, admitted, &mut exchange).await.unwrap_or(Ended::Left);
    exchange.finish(&ended);
    if ended == Ended::Left { Err(Gone) } else { Ok(()) }
}

async fn run(
    node: &Node,
    down: &mut Downstream,
    request: Request,
    body: admit::Body,
    admitted: Admitted,
    exchange: &mut Exchange<'_>,
) -> Result<Ended, Gone> {
    // Kept until the answer is over, whichever way that happens.
    let Some(_slot) = place(node, down, request.view.stream).await? else {
        let failure = Failure::Busy { retry_after: node.engine.retry_after() };
        down.fail(&failure).await?;
        return Ok(Ended::failed(&failure));
    };
    let max_time = node.config().worker.max_time;
    let deadline = Instant::now() + max_time;
    let (model, path) = (request.view.model.clone(), request.path);
    let serving = request.serving(node, admitted);
    let outcome = {
        let ask = request.ask(node, serving.output_max(), max_time);
        // Boxed, so that its room is given back before the answer flows.
        let work = Box::pin(own_engine::ask(node, &ask));
        match down.attend(request.view.stream, work).await {
            Ok(Answered { outcome, context }) => {
                serving.ran_with(context);
                outcome
            }
            Err(Gone) => {
                if !request.view.stream {
                    Box::pin(serving.left_waiting()).await;
                }
                return Err(Gone);
            }
        }
    };
    let books = Books::Serving(serving);
    drop(request);
    drop(body);
    exchange.answered("local", 1);
    let limits = Limits { silence: max_time, deadline: Some(deadline) };
    Box::pin(answer(node, down, outcome, &books, (&model, path), limits)).await
}

async fn answer(
    node: &Node,
    down: &mut Downstream,
    outcome: Outcome,
    books: &Books<'_>,
    (model, path): (&ModelName, &'static str),
    limits: Limits,
) -> Result<Ended, Gone> {
    let local = node.upstreams.local();
    match outcome {
        Outcome::Stream(open) => {
            local.succeeded();
            down.start_stream(&[]).await?;
            Ok(stream::relay(&node.connections, down, open, books, limits).await)
        }
        Outcome::Whole(answer) => {
            local.succeeded();
            Ok(whole(down, answer, books, Vec::new()).await)
        }
        Outcome::Verdict(refusal) => {
            let status = refusal.status;
            verdict(down, refusal, "the engine", Vec::new()).await?;
            Ok(Ended::Refused { status })
        }
        Outcome::Next(reason) => {
            let failure = engine_failure(node, reason, model, path);
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
