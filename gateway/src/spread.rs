//! What waits here (lines of batches, jobs) is spread over all machines that will have it.
//!
//! One loop ([`run`]) looks what waits, decides where it goes ([`choose`], pure), and lets each task fly on its
//! own: leased, ordered, given to its upstream, landed (`flight.rs`, `ordering.rs`, `at_worker.rs` or
//! `at_engine.rs`, `landing.rs`). What came of it, and what that means, is decided by `came.rs` and `record.rs`,
//! which are pure too. What a worker may charge that was not heard in the end is found out later (`unheard.rs`).
//! After a start the leases of processes that died are taken over first (`adopted.rs`).
//!
//! Places in upstreams are those of the gateway's own requests ([`crate::slots`]): a task takes one only where
//! nobody waits for it, and a request that waits gets the next that a task gives back.

mod adopted;
mod answer;
mod asking;
mod at_engine;
mod at_worker;
mod came;
mod choose;
mod flight;
mod hedging;
mod landing;
mod lease_time;
mod money;
mod no_room;
mod ordering;
mod past;
mod placing;
mod reach;
mod record;
mod request;
mod unheard;
mod waking;
mod warm;

use crate::{clock, node::Node};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use money::Money;
use parking_lot::Mutex;
use past::Past;
use reach::Reach;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use waking::Waking;
use warm::Warm;
use work::tasks::{LeaseId, TaskId};

/// So many tasks are on their way at once, and no more. Those beyond it wait in the store.
const FLIGHTS_MAX: usize = 512;

/// Requests of so many bytes together are on their way at once. A single longer one goes alone.
const FLIGHTS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often it is looked what waits, and what is to be cancelled, when nobody says that there is anything.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All that is under way.
type Going<'s> = FuturesUnordered<BoxFuture<'s, ()>>;

/// What the loop and the flights share.
struct Spread<'n> {
    node: &'n Node,
    /// Open leases of this process, and how to stop what they are for.
    open: Mutex<HashMap<LeaseId, CancellationToken>>,
    /// Tasks that were given a place and are not leased yet: the store lists them still.
    leasing: Mutex<HashSet<TaskId>>,
    /// What is on its way.
    load: Mutex<Load>,
    past: Mutex<Past>,
    warm: Mutex<Warm>,
    waking: Mutex<Waking>,
    reach: Reach,
    money: Mutex<Money>,
    /// Kinds of tasks that nobody can be asked for, while somebody is asked about them.
    asked_about: Mutex<HashSet<reach::Kind>>,
    hedged_at: Mutex<Instant>,
}

/// How much is on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    flights: usize,
    bytes: u64,
}

/// Spreads until the node stops. Then nothing new is begun; what own engines work on is waited for, as
/// requests are, and jobs at workers are left to the next process.
pub async fn run(node: &Node) {
    let spread = Spread::new(node);
    tokio::join!(give_out(&spread), spread.hear_later());
}

async fn give_out(spread: &Spread<'_>) {
    let node = spread.node;
    let mut going = Going::new();
    spread.adopt(&mut going).await;
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whether something waits that found no place: then each place that comes back is worth a look.
    let mut some_wait = true;
    loop {
        let anew = tokio::select! {
            () = node.stopping.cancelled() => break,
            Some(()) = going.next() => false,
            () = node.slots.freed.notified() => false,
            () = node.work_now.notified() => true,
            _ = tick.tick() => true,
        };
        // All that ended meanwhile is one reason to look.
        while let Some(Some(())) = going.next().now_or_never() {}
        if anew {
            spread.tend(&mut going).await;
        }
        if anew || some_wait {
            some_wait = spread.place_all(anew, &mut going).await;
        }
    }
    let drain = node.config().gateway.drain;
    let landed = async { while let Some(()) = going.next().await {} };
    if tokio::time::timeout(drain, landed).await.is_err() {
        tracing::info!("tasks that were not answered in time are begun anew at the next start");
    }
}

impl<'n> Spread<'n> {
    fn new(node: &'n Node) -> Self {
        Self {
            node,
            open: Mutex::default(),
            leasing: Mutex::default(),
            load: Mutex::default(),
            past: Mutex::default(),
            warm: Mutex::default(),
            waking: Mutex::new(Waking::begun(clock::now(), Instant::now())),
            reach: Reach::default(),
            money: Mutex::default(),
            asked_about: Mutex::default(),
            hedged_at: Mutex::new(Instant::now()),
        }
    }

    /// Takes over what nobody follows, and cancels what is not wanted any more.
    async fn tend<'s>(&'s self, going: &mut Going<'s>) {
        self.waking.lock().look(clock::now(), Instant::now());
        self.money.lock().look_again();
        // Another process of this home may have died.
        if let Ok(leases) = self.node.work.tasks().adopt().await {
            leases.into_iter().for_each(|lease| self.take_over(lease, false, going));
        }
        match self.node.work.tasks().to_cancel().await {
            Ok(leases) => {
                self.cancel(&leases);
                // Leases that nothing follows: it was given up while the store could not be written.
                let open = |lease: &work::tasks::OpenLease| self.open.lock().contains_key(&lease.id);
                for lease in leases.into_iter().filter(|lease| !open(lease)) {
                    self.take_over(lease, true, going);
                }
            }
            Err(error) => tracing::warn!(%error, "what is cancelled here goes on at workers for now"),
        }
    }
}
