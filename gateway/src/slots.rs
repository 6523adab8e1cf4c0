//! Room in upstreams: permits that are given back by dropping them, and the queue for the next free
//! one.
//!
//! A request waits for the first of *several* lanes to have room, which a semaphore per lane cannot
//! say. A freed permit is handed to the one who waited longest for that lane; nobody overtakes.

use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, oneshot};

/// How many may be in one upstream at once, and how many are.
#[derive(Debug)]
pub struct Lane {
    limit: AtomicUsize,
    in_flight: AtomicUsize,
}

impl Lane {
    /// A lane with room for `limit`.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), in_flight: AtomicUsize::new(0) })
    }

    /// How many may be in it.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes how many may be in it; those inside stay. Who waits learns of more room from
    /// [`Slots::lane_grew`], or when the next permit is given back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many are in it.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn enter(&self) -> bool {
        let limit = self.limit();
        let entered = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |inside| {
            (inside < limit).then_some(inside + 1)
        });
        entered.is_ok()
    }
}

/// The queue in front of a set of lanes.
#[derive(Debug)]
pub struct Slots {
    queue_max: AtomicUsize,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Its length, readable without the lock.
    waiting_len: AtomicUsize,
    /// A place came back for which nobody waits here.
    pub freed: Notify,
}

#[derive(Debug)]
struct Waiting {
    lanes: Vec<Arc<Lane>>,
    handed: oneshot::Sender<Slot>,
}

/// A place in a lane, given back on drop.
#[derive(Debug)]
pub struct Slot {
    lane: Arc<Lane>,
    slots: Arc<Slots>,
}

/// Nobody more may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct QueueFull;

/// A place in the queue; resolves to a slot in one of the lanes that were named.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Slot>);

impl Slots {
    /// A queue for at most `queue_max` who wait.
    pub fn new(queue_max: usize) -> Arc<Self> {
        Arc::new(Self {
            queue_max: AtomicUsize::new(queue_max),
            waiting: Mutex::default(),
            waiting_len: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Changes how many may wait; those that do stay.
    pub fn set_queue_max(&self, queue_max: usize) {
        self.queue_max.store(queue_max, Ordering::Relaxed);
    }

    /// Hands out the room that a lane gained.
    pub fn lane_grew(self: &Arc<Self>, lane: &Arc<Lane>) {
        self.serve(lane);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting_len.load(Ordering::Relaxed)
    }

    /// Takes room in `lane` if it has any and nobody waits for it.
    pub fn try_take(self: &Arc<Self>, lane: &Arc<Lane>) -> Option<Slot> {
        if self.waiting() > 0 && self.waiting.lock().iter().any(|other| other.wants(lane)) {
            return None;
        }
        self.take(lane)
    }

    fn take(self: &Arc<Self>, lane: &Arc<Lane>) -> Option<Slot> {
        lane.enter().then(|| Slot { lane: Arc::clone(lane), slots: Arc::clone(self) })
    }

    /// Queues for the first of `lanes` to have room.
    pub fn queue(self: &Arc<Self>, lanes: Vec<Arc<Lane>>) -> Result<Ticket, QueueFull> {
        let (handed, ticket) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| !other.handed.is_closed());
        if waiting.len() >= self.queue_max.load(Ordering::Relaxed) {
            self.waiting_len.store(waiting.len(), Ordering::Relaxed);
            return Err(QueueFull);
        }
        waiting.push_back(Waiting { lanes: lanes.clone(), handed });
        self.waiting_len.store(waiting.len(), Ordering::Relaxed);
        drop(waiting);
        // Room may have come between the caller's look and its place in the queue.
        for lane in &lanes {
            self.serve(lane);
        }
        Ok(Ticket(ticket))
    }

    /// Hands room in `lane` to whoever waits for it, longest first, while there is both.
    fn serve(self: &Arc<Self>, lane: &Arc<Lane>) {
        loop {
            let mut waiting = self.waiting.lock();
            let Some(place) = waiting.iter().position(|other| other.wants(lane)) else { return };
            let Some(slot) = self.take(lane) else { return };
            let next = waiting.remove(place);
            self.waiting_len.store(waiting.len(), Ordering::Relaxed);
            drop(waiting);
            // If the other end is gone the slot comes back, and its drop serves the next: stop here.
            if next.is_some_and(|next| next.handed.send(slot).is_err()) {
                return;
            }
        }
    }
}

impl Waiting {
    fn wants(&self, lane: &Arc<Lane>) -> bool {
        !self.handed.is_closed() && self.lanes.iter().any(|wanted| Arc::ptr_eq(wanted, lane))
    }
}

impl Slot {
    /// Whether it is in this lane.
    pub fn is_in(&self, lane: &Arc<Lane>) -> bool {
        Arc::ptr_eq(&self.lane, lane)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lane.in_flight.fetch_sub(1, Ordering::AcqRel);
        if self.slots.waiting() > 0 {
            self.slots.serve(&self.lane);
        }
        self.slots.freed.notify_one();
    }
}

impl Ticket {
    /// Waits for the slot. Dropping the future leaves the queue.
    pub async fn slot(self) -> Option<Slot> {
        self.0.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_freed_place_goes_to_the_one_who_waited_longest_for_that_lane() {
        let (slots, fast, slow) = (Slots::new(10), Lane::new(1), Lane::new(1));
        let in_fast = slots.try_take(&fast).unwrap();
        let in_slow = slots.try_take(&slow).unwrap();
        let mut only_slow = Box::pin(slots.queue(vec![Arc::clone(&slow)]).unwrap().slot());
        let mut either = Box::pin(slots.queue(vec![Arc::clone(&fast), Arc::clone(&slow)]).unwrap().slot());
        assert!(slots.try_take(&slow).is_none());
        drop(in_fast);
        assert!(only_slow.as_mut().now_or_never().is_none());
        assert!(either.as_mut().now_or_never().unwrap().unwrap().is_in(&fast));
        drop(in_slow);
        assert!(only_slow.as_mut().now_or_never().unwrap().unwrap().is_in(&slow));
        assert_eq!(slots.waiting(), 0);
    }

    #[test]
    fn who_left_the_queue_costs_nobody_a_place() {
        let (slots, lane) = (Slots::new(2), Lane::new(1));
        let inside = slots.try_take(&lane).unwrap();
        let gone = slots.queue(vec![Arc::clone(&lane)]).unwrap();
        let stays = slots.queue(vec![Arc::clone(&lane)]).unwrap();
        assert_eq!(slots.queue(vec![Arc::clone(&lane)]).unwrap_err(), QueueFull);
        drop(gone);
        drop(inside);
        assert!(stays.slot().now_or_never().flatten().is_some());
        assert_eq!(lane.in_flight(), 0, "dropped with the future's output");
        assert!(slots.try_take(&lane).is_some());
    }

    #[test]
    fn many_threads_never_exceed_the_limit_and_all_get_their_turn() {
        let (slots, lane) = (Slots::new(1000), Lane::new(3));
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let slot = slots.try_take(&lane).or_else(|| {
                            let ticket = slots.queue(vec![Arc::clone(&lane)]).unwrap();
                            futures::executor::block_on(ticket.slot())
                        });
                        most.fetch_max(lane.in_flight(), Ordering::Relaxed);
                        drop(slot.unwrap());
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!((lane.in_flight(), slots.waiting()), (0, 0));
    }
}
