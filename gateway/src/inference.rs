//! A tool's request to the gateway: read it, find who serves it, bring the answer back.

use crate::{
    admit,
    asynchronous::respond_async,
    attempt::{Ask, Timeouts},
    books::{Books, Served},
    candidates::{Measured, Reachable, Sought, path_at},
    downstream::{Downstream, Gone},
    exchange::{Ended, Exchange, Role},
    failover::{ATTEMPTS_MAX, NoAnswer, Ready, ReadyOutcome, Search, Wanted},
    failure::Failure,
    node::Node,
    reply::{verdict, whole},
    stream::{self, Limits},
    upstream::Upstream,
};
use bytes::Bytes;
use config::{Config, Route};
use futures::future::join_all;
use http::{HeaderName, HeaderValue, header};
use protocol::{ModelName, carriers};
use std::{sync::Arc, time::Duration};
use upstream_ollama::RequestView;

/// How long a request for a model that nobody is known to have waits for the probes that find out.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Answers that were probed more recently are believed before "nobody has it" is said.
const PROBE_AGE: Duration = Duration::from_secs(1);

/// A tool that takes less than this ...
const DEAD_READER_BYTES: usize = 8 * 1024;
/// ... in this long is taken for dead; one that is merely slow slows its upstream and no more.
const DEAD_READER_WITHIN: Duration = Duration::from_secs(80 * 60);

/// So many names are offered when a model is not found.
const NEAR_MAX: usize = 3;

/// What is known of a request once its body is read.
struct Request {
    path: &'static str,
    view: RequestView,
    body: Bytes,
    /// The settings that were in force when it came.
    config: Arc<Config>,
    route: Route,
    forwarded: Vec<(HeaderName, HeaderValue)>,
}

/// Serves one request for inference.
pub async fn serve(node: &Node, down: &mut Downstream, path: &'static str) -> Result<(), Gone> {
    down.cut_readers_slower_than(DEAD_READER_BYTES, DEAD_READER_WITHIN);
    // Two boxes, one after the other: while the answer flows, nothing is kept of the search for it,
    // and nothing is sent again, so the body is let go as well.
    let found = Box::pin(begin(node, down, path)).await?;
    let Some(Found { ready, exchange, request_bytes, output_max, timeouts }) = found else { return Ok(()) };
    let ended = Box::pin(bring_back(node, down, ready, [request_bytes, output_max], timeouts)).await;
    exchange.finish(&ended);
    if ended == Ended::Left { Err(Gone) } else { Ok(()) }
}

/// An upstream that is ready, and what is still needed of the request.
struct Found<'a> {
    ready: Ready,
    exchange: Exchange<'a>,
    request_bytes: u64,
    output_max: u64,
    timeouts: Timeouts,
}

/// Reads the request and finds who answers it; `None` if it was answered with an error.
async fn begin<'a>(
    node: &'a Node,
    down: &mut Downstream,
    path: &'static str,
) -> Result<Option<Found<'a>>, Gone> {
    let config = node.config();
    let body = match admit::read_json(down, config.gateway.max_body, &node.body_memory).await {
        Ok(body) => body,
        Err(failure) => return down.fail_early(&failure).await.map(|()| None),
    };
    // Those of now, after what may have been a long upload: as new as the upstreams that are asked.
    let config = node.config();
    let view = match RequestView::read(&body.bytes) {
        Ok(view) => view,
        Err(bad) => return down.fail(&bad.into()).await.map(|()| None),
    };
    // A stream is not put off: who reads it is there.
    if !view.stream && respond_async::is_preferred(&down.session.req_header().headers) {
        return Box::pin(respond_async::take_on(node, down, path, &body.bytes)).await.map(|()| None);
    }
    let route = config.route_for(view.model.as_str()).into_owned();
    let request = Request { path, view, body: body.bytes.clone(), config, route, forwarded: forwarded(down) };
    let mut exchange =
        Exchange::begin(node, Role::Gateway, &request.view.model, request.view.stream, &down.request_id);
    let failed = match find(node, down, &request).await {
        Ok(ready) => {
            exchange.answered(&ready.upstream.name, ready.attempts);
            let timeouts = timeouts(&request.route, &ready.upstream);
            let (request_bytes, output_max) = (request.body.len() as u64, request.output_max());
            return Ok(Some(Found { ready, exchange, request_bytes, output_max, timeouts }));
        }
        Err(failed) => failed,
    };
    let ended = match failed {
        NoAnswer::Left => Ended::Left,
        NoAnswer::Failed(failure) => {
            let told = down.fail(&failure).await;
            told.map_or(Ended::Left, |()| Ended::failed(&failure))
        }
        NoAnswer::Verdict(refusal, upstream, attempts) => {
            exchange.answered(&upstream.name, attempts);
            let status = refusal.status;
            let told = verdict(down, refusal, &upstream.name, served_by(&upstream, attempts)).await;
            told.map_or(Ended::Left, |()| Ended::Refused { status })
        }
    };
    exchange.finish(&ended);
    if ended == Ended::Left { Err(Gone) } else { Ok(None) }
}

/// The headers of the tool that an upstream may see: never its keys.
pub fn forwarded(down: &Downstream) -> Vec<(HeaderName, HeaderValue)> {
    const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    let names = [header::CONTENT_TYPE, header::ACCEPT, TRACEPARENT, TRACESTATE];
    let header = |name: HeaderName| down.session.get_header(&name).cloned().map(|value| (name, value));
    names.into_iter().filter_map(header).collect()
}

async fn find(node: &Node, down: &mut Downstream, request: &Request) -> Result<Ready, NoAnswer> {
    let candidates = candidates(node, down, request).await?;
    let sought = request.sought();
    let prompt = Measured::new(request.path, &request.body);
    let wanted = Wanted {
        model: sought.model,
        path: request.path,
        sought,
        prompt: &prompt,
        asked_for: sought.model_for_peers(),
        streamed: sought.streamed,
        tier: sought.tier(),
        max_wait: request.config.gateway.max_wait,
        output_max: request.output_max(),
    };
    Search::new(node, candidates, wanted).run(down, |upstream| ask(node, request, upstream)).await
}

impl Request {
    fn output_max(&self) -> u64 {
        output_max(&self.view, self.path, &self.config)
    }

    fn sought(&self) -> Sought<'_> {
        Sought { model: &self.view.model, route: &self.route, streamed: self.view.stream }
    }
}

/// The longest answer that is ordered of a peer. Embeddings make no tokens; an order names one.
pub fn output_max(view: &RequestView, path: &str, config: &Config) -> u64 {
    if path == "/v1/embeddings" {
        return 1;
    }
    view.max_output.unwrap_or(config.gateway.max_output_tokens).max(1)
}

/// Who is known to have the model; who may have it if nobody is known to; an error if nobody may.
async fn candidates(
    node: &Node,
    down: &mut Downstream,
    request: &Request,
) -> Result<Vec<Reachable>, NoAnswer> {
    let sought = request.sought();
    let reachable = node.upstreams.reachable(&request.route.to);
    let known = || {
        let mut have = sought.who(&reachable, Some(true));
        have.extend(sought.strangers(node, ATTEMPTS_MAX));
        have
    };
    let mut have = known();
    if have.is_empty() {
        let probes =
            join_all(reachable.iter().map(|(_, upstream)| node.prober.if_older(upstream, PROBE_AGE)));
        // Whoever does not answer in time is asked with the request itself.
        let _ = down.attend(request.view.stream, tokio::time::timeout(PROBE_PATIENCE, probes)).await?;
        have = known();
    }
    if have.is_empty() {
        have = sought.who(&reachable, None);
    }
    if have.is_empty() {
        return Err(NoAnswer::Failed(not_found(&request.view.model, &reachable)));
    }
    Ok(have)
}

fn not_found(model: &ModelName, reachable: &[Reachable]) -> Failure {
    const SIMILAR: f64 = 0.75;
    let mut names: Vec<(f64, String)> = reachable
        .iter()
        .flat_map(|(_, upstream)| {
            upstream.inventory().models().iter().map(|model| model.name.to_string()).collect::<Vec<_>>()
        })
        .map(|name| (strsim::jaro_winkler(&name, model.as_str()), name))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    names.dedup_by(|a, b| a.1 == b.1);
    let near = names.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect();
    Failure::ModelNotFound { model: model.clone(), near }
}

fn ask<'r>(node: &Node, request: &'r Request, upstream: &Upstream) -> Ask<'r> {
    Ask {
        path: path_at(upstream, request.path),
        body: request.sought().body_for(upstream, &request.view, &request.body),
        model: request.sought().model_for(upstream),
        output_wanted: request.view.max_output,
        native: None,
        requester: upstream.node().map(|_| node.me),
        order: None,
        authorization: upstream.server.as_ref().and_then(|server| server.authorization.clone()),
        forwarded: &request.forwarded,
        streamed: request.view.stream,
        timeouts: timeouts(&request.route, upstream),
    }
}

fn timeouts(route: &Route, upstream: &Upstream) -> Timeouts {
    // A worker of protocol 2 says `: waiting` while it works; from others silence says nothing.
    let keeps_alive = upstream.node().is_some() && upstream.inventory().protocol >= 2;
    Timeouts {
        first_byte: route.first_byte_timeout,
        silence: keeps_alive.then_some(route.silence_timeout),
        answer: route.answer_timeout,
    }
}

async fn bring_back(
    node: &Node,
    down: &mut Downstream,
    ready: Ready,
    [request_bytes, output_max]: [u64; 2],
    timeouts: Timeouts,
) -> Ended {
    let Ready { upstream, outcome, attempts, slot, sent, order } = ready;
    let books = match upstream.node() {
        Some(worker) => Books::Served(Served { node, worker, order, output_max, bytes: request_bytes }),
        None => Books::None,
    };
    let served_by = served_by(&upstream, attempts);
    let ended = match outcome {
        ReadyOutcome::Stream(open) => {
            if down.start_stream(&served_by).await.is_err() {
                return Ended::Left;
            }
            let limits = Limits { silence: timeouts.silence.unwrap_or(timeouts.first_byte), deadline: None };
            stream::relay(&node.connections, down, open, &books, limits).await
        }
        ReadyOutcome::Whole(answer) => Box::pin(whole(down, answer, &books, served_by)).await,
    };
    match ended {
        Ended::Complete { .. } | Ended::Enough { .. } => upstream.served(sent.elapsed()),
        Ended::Lost { .. } => upstream.failed(std::time::Instant::now()),
        _ => {}
    }
    drop(slot);
    ended
}

fn served_by(upstream: &Upstream, attempts: usize) -> Vec<(&'static str, String)> {
    vec![(carriers::WORKER_HEADER, upstream.name.clone()), (carriers::ATTEMPTS_HEADER, attempts.to_string())]
}
