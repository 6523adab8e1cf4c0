//! One relay as we know it: what it sent, what it was asked, how it does.

use super::{
    FRAMES_PER_SECOND, Pace, RelayState,
    ask::{Asked, Topic, Wanted},
    backoff::Backoff,
    bucket::Bucket,
    ear::{Ear, Garbage},
    frame::{self, Frame},
};
use async_wsocket::Message;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use url::Url;

/// A connection that lasted so long was a good one. One that did not is followed by a pause that
/// doubles: the SDK pauses longer only for connections that were not made at all.
const STEADY: Duration = Duration::from_secs(60);

/// The longest of these pauses.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Shared by the task that reads the connection, the one that asks, and who wants to know.
#[derive(Debug)]
pub(crate) struct Line {
    url: Url,
    ear: Arc<dyn Ear>,
    state: Mutex<State>,
    /// How many connections there have been.
    opened: watch::Sender<u64>,
    /// Told when there may be something to ask.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// Since when there is a connection.
    open: Option<Instant>,
    pause: Backoff,
    paused_until: Option<Instant>,
    told: Told,
    caught_up: bool,
    last_error: Option<String>,
    notice: Option<String>,
    heard: u64,
    repeated: u64,
    garbage: u64,
    shed: u64,
    bucket: Bucket,
    asked: Asked,
}

/// What the log says of it. It does not hear of a connection that comes and goes every few seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Up,
    Down,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    /// An event went to the ear. That cost time: let others run.
    Heard,
    /// It was of no use to anybody.
    Dropped,
    /// It says something, and was noted.
    Said(Frame),
    /// It belongs to the WebSocket.
    Control,
}

impl Line {
    pub(crate) fn new(url: Url, ear: Arc<dyn Ear>, changed: Arc<Notify>, pace: &Pace) -> Self {
        let state = State {
            open: None,
            pause: Backoff::new(pace.reconnect, PAUSE_MAX),
            paused_until: None,
            told: Told::Nothing,
            caught_up: false,
            last_error: None,
            notice: None,
            heard: 0,
            repeated: 0,
            garbage: 0,
            shed: 0,
            bucket: Bucket::full(Instant::now()),
            asked: Asked::nothing(pace.rest),
        };
        Self { url, ear, state: Mutex::new(state), opened: watch::Sender::new(0), changed }
    }

    /// For a single use: nobody is told of changes, and nothing is asked again.
    pub(crate) fn once(url: Url, ear: Arc<dyn Ear>) -> Self {
        Self::new(url, ear, Arc::new(Notify::new()), &Pace::default())
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open.is_some()
    }

    pub(crate) fn openings(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.state.lock().last_error.clone()
    }

    pub(crate) fn state(&self) -> RelayState {
        let state = self.state.lock();
        RelayState {
            url: self.url.clone(),
            connected: state.open.is_some(),
            caught_up: state.caught_up,
            last_error: state.last_error.clone(),
            notice: state.notice.clone(),
            events_heard: state.heard,
            events_repeated: state.repeated,
            garbage: state.garbage,
            shed: state.shed,
        }
    }

    /// When it may be connected to, after connections that did not last.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.state.lock().paused_until
    }

    /// A connection was made. The guard lives as long as it does.
    pub(crate) fn open(self: &Arc<Self>, now: Instant) -> Open {
        let mut state = self.state.lock();
        (state.open, state.caught_up) = (Some(now), false);
        state.asked.forget();
        if std::mem::replace(&mut state.told, Told::Up) != Told::Up {
            tracing::info!(relay = %self.url, "connected to the relay");
        }
        drop(state);
        self.opened.send_modify(|connections| *connections += 1);
        self.changed.notify_one();
        Open(Arc::clone(self))
    }

    /// No connection could be made.
    pub(crate) fn failed(&self, why: &str) {
        let mut state = self.state.lock();
        state.last_error = Some(frame::words(why));
        if std::mem::replace(&mut state.told, Told::Down) != Told::Down {
            tracing::warn!(relay = %self.url, why, "the relay cannot be reached; trying on");
        }
    }

    /// The connection is at its end.
    pub(crate) fn lost(&self, why: &str, now: Instant) {
        let mut state = self.state.lock();
        let Some(since) = state.open.take() else { return };
        state.caught_up = false;
        state.last_error = Some(frame::words(why));
        if now.duration_since(since) >= STEADY {
            state.pause.reset();
            state.paused_until = None;
            state.told = Told::Down;
            tracing::info!(relay = %self.url, why, "lost the relay; connecting again");
        } else {
            state.paused_until = Some(now + state.pause.next());
            tracing::debug!(relay = %self.url, why, "the relay did not stay");
        }
    }

    /// We are going: that the connection ends is nothing to tell.
    pub(crate) fn leave(&self) {
        self.state.lock().open = None;
    }

    /// A message that the WebSocket layer would not take in.
    pub(crate) fn endless(&self) {
        self.state.lock().garbage += 1;
        self.ear.garbage(&self.url, Garbage::Endless);
    }

    /// Takes in one message.
    pub(crate) fn take(&self, message: &Message, now: Instant) -> Taken {
        let text = match message {
            Message::Text(text) => Ok(text),
            Message::Binary(_) => Err(Garbage::Binary),
            _ => return Taken::Control,
        };
        {
            let mut state = self.state.lock();
            if !state.bucket.take(&FRAMES_PER_SECOND, now) {
                state.shed += 1;
                return Taken::Dropped;
            }
        }
        let unasked = |frame: &Frame| match frame {
            Frame::Event(event) if !self.ear.wants(event.kind) => {
                Some(Garbage::Unasked { kind: event.kind.as_u16() })
            }
            _ => None,
        };
        let read = text.and_then(|text| frame::read(text));
        match read.and_then(|frame| unasked(&frame).map_or(Ok(frame), Err)) {
            Ok(frame) => self.note(frame, now),
            Err(garbage) => {
                self.state.lock().garbage += 1;
                self.ear.garbage(&self.url, garbage);
                Taken::Dropped
            }
        }
    }

    fn note(&self, frame: Frame, now: Instant) -> Taken {
        match &frame {
            Frame::Event(event) if self.ear.knows(&event.id) => {
                self.state.lock().repeated += 1;
                return Taken::Dropped;
            }
            Frame::End(id) if Topic::of(id) == Some(Topic::Announcements) => {
                self.state.lock().caught_up = true;
            }
            Frame::Closed { id, why } => {
                if let Some(topic) = Topic::of(id) {
                    let mut state = self.state.lock();
                    state.asked.closed(topic, now);
                    state.last_error = Some(format!("ended a subscription: {why}"));
                    drop(state);
                    self.changed.notify_one();
                }
            }
            Frame::Notice(words) => self.state.lock().notice = Some(words.clone()),
            _ => {}
        }
        let Frame::Event(event) = frame else { return Taken::Said(frame) };
        self.state.lock().heard += 1;
        self.ear.hear(&self.url, *event);
        Taken::Heard
    }

    /// When `topic` is to be asked for; `None` if it is not, or there is nobody to ask.
    pub(crate) fn due(&self, topic: Topic, wanted: &Wanted, now: Instant) -> Option<Instant> {
        let state = self.state.lock();
        state.open.and_then(|_| state.asked.due(topic, wanted, now))
    }

    /// Whether the question was handed over.
    pub(crate) fn asked(&self, topic: Topic, wanted: &Wanted, now: Instant, sent: bool) {
        let asked = &mut self.state.lock().asked;
        if sent { asked.sent(topic, wanted, now) } else { asked.not_sent(topic, now) }
    }
}

/// A connection, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Open(Arc<Line>);

impl Open {
    pub(crate) fn line(&self) -> &Line {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let why = "it answered no pings, could not be written to, or was no longer needed";
        self.0.lost(why, Instant::now());
    }
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
