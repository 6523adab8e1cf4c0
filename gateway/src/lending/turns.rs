//! Which job is begun when: the loop that gives jobs the places that nobody else wants.

use super::{Lending, left_over, running};
use crate::{breaker::Admission, clock, node::Node, slots::Slot};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// While jobs wait and no place is free, it is looked for one this often.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(50);

/// How often it is looked what other processes of this home brought, cancelled and left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A receipt that could not be claimed is claimed again so many looks later: the disk may be full.
const LOOKS_A_CLAIM: u32 = 5;

type UnderWay<'n> = FuturesUnordered<BoxFuture<'n, ()>>;

/// Runs jobs until the node stops; those that run then wait again.
pub async fn run(node: &Node) {
    left_over::take_up(node).await;
    node.lending.ready.send_replace(true);
    let mut under_way: UnderWay<'_> = FuturesUnordered::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    let mut sharing = node.sharing.changes();
    let mut want_room = begin(node, &mut under_way).await;
    loop {
        tokio::select! {
            biased;
            () = node.stopping.cancelled() => break,
            Some(()) = under_way.next() => {}
            () = node.lending.wake.notified() => {}
            Ok(()) = sharing.changed() => {}
            _ = look.tick() => {
                looks += 1;
                tidy(node, looks % LOOKS_A_CLAIM == 0).await;
            }
            () = sleep(LOOK_FOR_ROOM), if want_room => {}
        }
        want_room = begin(node, &mut under_way).await;
    }
    while under_way.next().await.is_some() {}
}

impl Lending {
    /// The job runs; the token is cancelled to cut it.
    pub(super) fn begin(&self, id: &str) -> CancellationToken {
        let cut = CancellationToken::new();
        self.running.lock().insert(id.to_owned(), cut.clone());
        cut
    }

    /// Cuts a job that runs in this process.
    pub(super) fn cut(&self, id: &str) {
        if let Some(running) = self.running.lock().get(id) {
            running.cancel();
        }
    }
}

/// Begins jobs while others are served and there is room; says whether some wait for it.
async fn begin<'n>(node: &'n Node, under_way: &mut UnderWay<'n>) -> bool {
    while node.sharing.is_on() {
        let lent = node.work.lent();
        // Looked at first, since a place that is taken and given back could be missed by a request.
        match lent.waits(clock::now()).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => return warn(&error),
        }
        let Some(slot) = room(node) else { return true };
        match lent.next(clock::now()).await {
            Ok(Some(job)) => under_way.push(Box::pin(running::run(node, job, slot))),
            Ok(None) => return false,
            Err(error) => return warn(&error),
        }
    }
    false
}

fn warn(error: &work::StoreError) -> bool {
    tracing::warn!(%error, "no job can be begun now");
    false
}

/// A place that neither the owner nor anybody who waits for an answer uses; see the module of lending.
fn room(node: &Node) -> Option<Slot> {
    let (engine, local) = (&node.engine, node.upstreams.local());
    let well = local.inventory().up
        && local.admission(Instant::now()) != Admission::Tripped
        && node.cannot_keep_receipts().is_none();
    let used = engine.lane.in_flight() + local.lane.in_flight();
    let free = engine.slots.waiting() == 0 && used < engine.lane.limit();
    (well && free).then(|| engine.slots.try_take(&engine.lane)).flatten()
}

async fn tidy(node: &Node, claim_again: bool) {
    if claim_again && node.lending.claims_due.send_replace(false) {
        left_over::claim_again(node).await;
    }
    let lent = node.work.lent();
    // Cancelled by another process, or dropped since their time was over.
    let held = node.lending.ids_held();
    if !held.is_empty()
        && let Ok(over) = lent.over(held).await
    {
        for id in over {
            drop(node.lending.take_held(&id));
            node.lending.over(&id);
        }
    }
    if let Ok(cut) = lent.to_cut().await {
        cut.iter().for_each(|id| node.lending.cut(id));
    }
}
