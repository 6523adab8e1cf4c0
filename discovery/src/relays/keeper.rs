//! Sees to it that every connected relay is asked for what is wanted.
//!
//! It compares what is wanted with what each connection was asked, whenever something may have
//! changed, and sends the difference. So it does not matter in which order connections, refusals and
//! new wishes come.

use super::{
    ask::{Topic, Wanted},
    line::Line,
};
use nostr_sdk::{ClientMessage, Relay};
use parking_lot::Mutex;
use protocol::Timestamp;
use std::sync::Arc;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use url::Url;

#[derive(Debug)]
pub(crate) struct Keeper {
    relays: Vec<(Arc<Line>, Relay)>,
    wanted: Mutex<Wanted>,
    changed: Arc<Notify>,
    clock: fn() -> Timestamp,
}

impl Keeper {
    pub(crate) fn new(
        relays: Vec<(Arc<Line>, Relay)>,
        changed: Arc<Notify>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { relays, wanted: Mutex::default(), changed, clock }
    }

    pub(crate) fn relays(&self) -> impl Iterator<Item = &(Arc<Line>, Relay)> {
        self.relays.iter()
    }

    pub(crate) fn find(&self, url: &Url) -> Option<&(Arc<Line>, Relay)> {
        self.relays.iter().find(|(line, _)| line.url() == url)
    }

    /// Changes what is wanted.
    pub(crate) fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock());
        self.changed.notify_one();
    }

    pub(crate) async fn run(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            let next = self.ask_what_is_due(Instant::now());
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.changed.notified() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Gives when something is due next, as far as is known.
    fn ask_what_is_due(&self, now: Instant) -> Option<Instant> {
        let wanted = self.wanted.lock();
        let mut next: Option<Instant> = None;
        for (line, relay) in &self.relays {
            for topic in Topic::ALL {
                if line.due(topic, &wanted, now).is_some_and(|due| due <= now) {
                    let question = ClientMessage::req(topic.id(), wanted.filters(topic, (self.clock)()));
                    line.asked(topic, &wanted, now, relay.send_msg(question).is_ok());
                }
                let due = line.due(topic, &wanted, now);
                next = next.into_iter().chain(due).min();
            }
        }
        next
    }
}
