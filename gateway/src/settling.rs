//! Settling with workers, in the background: acknowledgements are brought to them, and receipts that did
//! not arrive are collected (SPEC section 4).

use crate::{
    books, clock,
    fail_point::{self, FailPoint},
    fetch::{self, Question},
    node::Node,
    orders::Placed,
    target::Destination,
};
use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderName, HeaderValue, Method};
use ledger::{AckBatch, Awaited};
use protocol::{
    NodeId, Receipt, Signed, Timestamp,
    auth::{Asked, Auth},
    carriers::AUTH_HEADER,
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::time::{Interval, interval};

/// How often it is looked what is to be done.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many workers are spoken to at once.
const AT_ONCE: usize = 16;

/// An order without a receipt is asked after when it is this old: most answers are over by then.
const COLLECTED_AFTER: Duration = Duration::from_secs(20);

/// A request that still runs, or a worker that is away, is asked again when the order is half as old again ...
const ASK_AGAIN_MIN: Duration = Duration::from_secs(5);

/// ... and after this at the latest.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// The first pause after acknowledgements could not be brought; doubles with each try.
const PAUSE_MIN: Duration = Duration::from_secs(5);

/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// Who owes us is looked up this often.
const DEBTORS_EVERY: Duration = Duration::from_secs(5);

/// So many of them are preferred, those who owe most.
const DEBTORS_MAX: usize = 64;

/// A node that owes us less than this is not preferred: a few credits are no reason to be chosen.
const DEBT_MIN: u64 = 100;

/// What nobody answered for as long as receipts are kept is given up this often.
const GIVE_UP_EVERY: Duration = Duration::from_secs(60 * 60);

/// So many receipts are asked of one worker at once: one that is slow to answer does not hold up the others.
const OF_ONE_WORKER: usize = 2;

/// Settles until the node stops. What is brought and what is collected do not wait for each other.
pub async fn run(node: &Node) {
    let started = clock::now();
    release_orphans(node, started).await;
    let bringing = async {
        let mut tick = ticks(LOOK_EVERY);
        while until(node, async {
            tokio::select! { _ = tick.tick() => {}, () = node.settle_now.notified() => {} }
        })
        .await
        {
            until(node, bring(node)).await;
        }
    };
    let collecting = async {
        let mut tick = ticks(LOOK_EVERY);
        while until(node, tick.tick()).await {
            until(node, collect_some(node, started)).await;
        }
    };
    let noting = async {
        let mut tick = ticks(DEBTORS_EVERY);
        while until(node, tick.tick()).await {
            note_debtors(node).await;
        }
    };
    let giving_up = async {
        let mut tick = ticks(GIVE_UP_EVERY);
        while until(node, tick.tick()).await {
            let _ = node.ledger.give_up(clock::now()).await;
        }
    };
    tokio::join!(bringing, collecting, noting, giving_up);
}

fn ticks(period: Duration) -> Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

/// Whether it was done before the node was told to stop.
async fn until<T>(node: &Node, work: impl Future<Output = T>) -> bool {
    tokio::select! {
        _ = work => true,
        () = node.stopping.cancelled() => false,
    }
}

/// What a process of this home held when it died is given back before anybody asks for it: requesters who
/// collect would be told that it still runs.
async fn release_orphans(node: &Node, now: Timestamp) {
    if let Err(error) = node.ledger.release_orphans(now).await {
        tracing::warn!(%error, "what a dead process had reserved stays reserved");
    }
}

async fn bring(node: &Node) {
    match node.ledger.due(clock::now(), AT_ONCE).await {
        Ok(batches) => {
            join_all(batches.into_iter().map(|batch| acknowledge(node, batch))).await;
        }
        Err(error) => tracing::warn!(%error, "acknowledgements wait"),
    }
}

async fn collect_some(node: &Node, started: Timestamp) {
    let now = clock::now();
    // Nobody waits for the answers to what was ordered before this process was there.
    let before = earlier(now, COLLECTED_AFTER).max(earlier(started, Duration::from_millis(1)));
    let awaited = match node.ledger.unanswered(now, before, AT_ONCE).await {
        Ok(awaited) => awaited,
        Err(error) => return tracing::warn!(%error, "receipts are not collected"),
    };
    let mut of_each: HashMap<NodeId, usize> = HashMap::new();
    let some = awaited.into_iter().filter(|order| {
        let asked = of_each.entry(order.worker).or_default();
        *asked += 1;
        *asked <= OF_ONE_WORKER
    });
    join_all(some.map(|order| collect(node, order))).await;
}

/// Those who owe us are preferred when somebody is asked for work.
async fn note_debtors(node: &Node) {
    let debtors: HashSet<NodeId> =
        match node.ledger.read(|reader| reader.debtors(DEBT_MIN, DEBTORS_MAX)).await {
            Ok(Ok(debtors)) => debtors.into_iter().collect(),
            Ok(Err(error)) | Err(error) => return tracing::debug!(%error, "who owes us is not known"),
        };
    for upstream in node.upstreams.all().iter() {
        upstream.set_owes_us(upstream.node().is_some_and(|peer| debtors.contains(&peer)));
    }
    node.strangers.set_debtors(debtors);
}

async fn acknowledge(node: &Node, batch: AckBatch) {
    let AckBatch { worker, ids, body, tries } = batch;
    let question = Question {
        method: Method::POST,
        path: "/v1/receipts/ack",
        headers: Vec::new(),
        body: Bytes::from(body),
    };
    fail_point::reached(FailPoint::AckDue);
    let told = ask(node, worker, question).await;
    let kept = match told {
        // Refused ones would be refused again.
        Some((200, answer)) if speaks_of_all(&answer, ids.len()) => {
            node.metrics.receipt("acknowledged");
            fail_point::reached(FailPoint::AckSent);
            let noted = node.ledger.delivered(worker, ids, clock::now()).await;
            fail_point::reached(FailPoint::AckNoted);
            noted
        }
        _ => {
            let pause = PAUSE_MIN.saturating_mul(1 << tries.min(16)).min(PAUSE_MAX);
            node.ledger.failed(worker, later(pause)).await
        }
    };
    if let Err(error) = kept {
        tracing::debug!(%error, "acknowledgements are brought again");
    }
}

/// Whether it is a worker's answer to so many acknowledgements, and nobody else's on the way.
fn speaks_of_all(answer: &[u8], sent: usize) -> bool {
    let taken = serde_json::from_slice::<serde_json::Value>(answer).unwrap_or_default();
    let accepted = taken.get("accepted").and_then(serde_json::Value::as_u64);
    let refused = taken.get("refused").and_then(serde_json::Value::as_array);
    accepted.zip(refused).is_some_and(|(accepted, refused)| accepted + refused.len() as u64 == sent as u64)
}

/// Asks a worker for the receipt of an order: what it made until we left, or while we were away.
async fn collect(node: &Node, awaited: Awaited) {
    let Awaited { worker, order, placed_at } = awaited;
    let id = order.unverified().order_id.clone();
    let expires_at = order.unverified().expires_at;
    if node.witness.is_running(&id) {
        let _ = node.ledger.ask_again(worker, &id, later(COLLECTED_AFTER)).await;
        return;
    }
    // Acknowledging the receipt lets the worker forget the answer, which a lease still waits for.
    if !matches!(node.work.tasks().has_order(&id).await, Ok(false)) {
        return ask_later(node, worker, &id, placed_at).await;
    }
    let path = format!("/v1/receipts/{id}");
    let asked = Asked { worker, method: "GET", path: &path };
    let auth = Auth::sign(&node.identity.node, &asked, clock::now()).to_header();
    let Ok(auth) = HeaderValue::try_from(auth) else { return };
    let question = Question::get(&path).with(HeaderName::from_static(AUTH_HEADER), auth);
    let done = match ask(node, worker, question).await {
        Some((200, body)) => keep(node, order, &body).await,
        // As long as it may still be admitted, it may be on its way there.
        Some((404, _)) if clock::now() > expires_at => {
            node.ledger.lost(worker, &id, clock::now()).await.is_ok()
        }
        _ => false,
    };
    if !done {
        ask_later(node, worker, &id, placed_at).await;
    }
}

async fn ask_later(node: &Node, worker: NodeId, id: &str, placed_at: Timestamp) {
    let age = Duration::from_millis(clock::now().millis_since(placed_at));
    let pause = (age / 2).clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
    let _ = node.ledger.ask_again(worker, id, later(pause)).await;
}

/// Whether the receipt was kept, or is of no use and never will be.
async fn keep(node: &Node, order: Signed<protocol::Order>, body: &[u8]) -> bool {
    let id = order.unverified().order_id.clone();
    let worker = order.unverified().worker;
    let receipt = Signed::<Receipt>::parse(body).and_then(Signed::verify);
    let (Ok(receipt), Ok(order)) = (receipt, order.verify()) else {
        node.metrics.receipt("bad_signature");
        return node.ledger.lost(worker, &id, clock::now()).await.is_ok();
    };
    let placed = Placed::again(order);
    let received = node.witness.received(&id);
    match books::keep_ordered(node, receipt, &placed, &received, clock::now()).await {
        Ok(()) => {
            node.witness.settled(&id);
            node.metrics.receipt("collected");
            true
        }
        Err(refused) => {
            node.metrics.receipt(refused.label());
            tracing::warn!(worker = %worker.short(), reason = %refused, "a collected receipt was refused");
            false
        }
    }
}

/// Status and body of a worker's answer; `None` if it cannot be asked now.
async fn ask(node: &Node, worker: NodeId, question: Question<'_>) -> Option<(u16, Vec<u8>)> {
    let to = destination(node, worker)?;
    let answer = fetch::ask(&node.connections, &to, question).await.ok()?;
    Some((answer.status, answer.body))
}

/// Where a peer is, if that is known now.
pub fn destination(node: &Node, worker: NodeId) -> Option<Destination> {
    let all = node.upstreams.all();
    let friend = all.iter().find(|upstream| upstream.node() == Some(worker));
    friend.map(|upstream| upstream.destination.clone()).or_else(|| node.strangers.destination(&worker))
}

fn earlier(than: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(than.as_millis().saturating_sub(by.as_millis() as u64))
}

fn later(pause: Duration) -> Timestamp {
    Timestamp::from_millis(clock::now().as_millis() + pause.as_millis() as u64)
}
