//! Does a relay work for us? One event there and back, for `lobstah doctor`.
//!
//! The event is an announcement's kind, which relays of closed groups take too, but with another
//! address (`d` tag) and without our topic: nobody hears it. It expires in a minute (NIP-40) and is
//! deleted at once (NIP-09).

use super::{
    NoConnection,
    ear::Garbage,
    frame::{self, Frame},
    wire::{Broken, Wire},
};
use crate::event::ANNOUNCEMENT_KIND;
use async_wsocket::Message;
use nostr_sdk::{
    ClientMessage, Event, EventBuilder, EventId, Filter, Keys, RelayUrl, SubscriptionId, Tag, TagKind,
    nips::nip09::EventDeletionRequest,
};
use protocol::Timestamp;
use std::{borrow::Cow, time::Duration};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// The address of the event.
const ADDRESS: &str = "lobstah-check";

/// How long it lives if its deletion fails.
const EXPIRES_SECONDS: u64 = 60;

/// What was tried, in this order. After one that fails, nothing further is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep {
    /// A WebSocket.
    Connect,
    /// An event, and the relay's yes to it.
    Write,
    /// The same event, from a question for it.
    ReadBack,
    /// Its deletion, and the relay's yes to that.
    Delete,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepFailed {
    /// No connection.
    #[error(transparent)]
    NoConnection(#[from] NoConnection),
    /// It ended.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// In the relay's words, which may name our clock.
    #[error("refused: {0}")]
    Refused(String),
    /// It said yes to the event and has it not.
    #[error("it took the event and does not give it back")]
    NotKept,
    /// Time was up.
    #[error("no answer in time")]
    TooSlow,
    /// The event could not be made.
    #[error("the event could not be signed: {0}")]
    NotSigned(String),
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Which.
    pub step: CheckStep,
    /// How long it took; of [`CheckStep::Write`], the round trip of an event.
    pub took: Duration,
    /// How it went.
    pub result: Result<(), StepFailed>,
}

/// How far the relay's clock is from ours, by the `Date` of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// The relay's less ours, in milliseconds.
    pub ahead_ms: i64,
    /// How much of that may be the way and the rounding to whole seconds.
    pub give_or_take_ms: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct RelayCheck {
    /// Which relay.
    pub relay: Url,
    /// What was tried.
    pub steps: Vec<Step>,
    /// `None` if the relay does not say what time it is.
    pub clock: Option<ClockDifference>,
}

impl RelayCheck {
    /// Whether a node can announce itself there and be found.
    pub fn is_good(&self) -> bool {
        self.steps.len() == 4 && self.steps.iter().all(|step| step.result.is_ok())
    }
}

/// Connects, writes an event, reads it back, deletes it. All together take `patience` at the most.
pub async fn check(url: &Url, keys: &Keys, clock: fn() -> Timestamp, patience: Duration) -> RelayCheck {
    let mut errand = Errand { deadline: Instant::now() + patience, steps: Vec::new() };
    let before = clock();
    let connected = errand.step(CheckStep::Connect, async { Ok(Wire::open(url, patience).await?) }).await;
    let Some((wire, response)) = connected else {
        return RelayCheck { relay: url.clone(), steps: errand.steps, clock: None };
    };
    let date = response.headers().get("date").and_then(|value| value.to_str().ok());
    let difference = date.and_then(|date| clock_difference(date, before, clock()));
    errand.there_and_back(wire, url, keys, clock()).await;
    RelayCheck { relay: url.clone(), steps: errand.steps, clock: difference }
}

struct Errand {
    deadline: Instant,
    steps: Vec<Step>,
}

impl Errand {
    /// Does one step, in what is left of the time. `None` if it failed.
    async fn step<T>(
        &mut self,
        step: CheckStep,
        doing: impl Future<Output = Result<T, StepFailed>>,
    ) -> Option<T> {
        let start = Instant::now();
        let done = timeout_at(self.deadline, doing).await.unwrap_or(Err(StepFailed::TooSlow));
        let (value, result) = match done {
            Ok(value) => (Some(value), Ok(())),
            Err(why) => (None, Err(why)),
        };
        self.steps.push(Step { step, took: start.elapsed(), result });
        value
    }

    async fn there_and_back(&mut self, wire: Wire, url: &Url, keys: &Keys, now: Timestamp) {
        let mut talk = Talk { wire, url, keys };
        let now = nostr_sdk::Timestamp::from_secs(now.as_millis() / 1000);
        let written = self.step(CheckStep::Write, async {
            let event = sign(harmless(now), keys)?;
            talk.write(&event).await.map(|()| event)
        });
        let Some(event) = written.await else { return };
        if self.step(CheckStep::ReadBack, talk.read_back(&event)).await.is_some() {
            let deleting = async {
                let request = EventDeletionRequest::new().id(event.id);
                let deletion = sign(EventBuilder::delete(request).custom_created_at(now), keys)?;
                talk.write(&deletion).await
            };
            self.step(CheckStep::Delete, deleting).await;
        }
        talk.wire.close().await;
    }
}

fn harmless(now: nostr_sdk::Timestamp) -> EventBuilder {
    // Different every time: an event that was deleted once is not taken again.
    let content = SubscriptionId::generate().to_string();
    EventBuilder::new(ANNOUNCEMENT_KIND, content).custom_created_at(now).tags([
        Tag::identifier(ADDRESS),
        Tag::custom(TagKind::Expiration, [(now.as_secs() + EXPIRES_SECONDS).to_string()]),
    ])
}

fn sign(event: EventBuilder, keys: &Keys) -> Result<Event, StepFailed> {
    event.sign_with_keys(keys).map_err(|error| StepFailed::NotSigned(error.to_string()))
}

/// Question and answer on one connection.
struct Talk<'a> {
    wire: Wire,
    url: &'a Url,
    keys: &'a Keys,
}

impl Talk<'_> {
    /// Sends an event until the relay says yes or no; says who we are if it asks (NIP-42).
    async fn write(&mut self, event: &Event) -> Result<(), StepFailed> {
        self.wire.say(ClientMessage::Event(Cow::Borrowed(event))).await?;
        let (mut challenge, mut authenticated) = (None, None);
        loop {
            match self.hear().await? {
                Frame::Challenge(text) => challenge = Some(text),
                Frame::Answer { id, taken: true, .. } if id == event.id => return Ok(()),
                Frame::Answer { id, why, .. } if id == event.id => {
                    let may_try = why.starts_with("auth-required:") && authenticated.is_none();
                    let Some(text) = challenge.take().filter(|_| may_try) else {
                        return Err(StepFailed::Refused(why));
                    };
                    authenticated = Some(self.authenticate(text).await?);
                }
                Frame::Answer { id, taken, why } if Some(id) == authenticated => {
                    if !taken {
                        return Err(StepFailed::Refused(why));
                    }
                    self.wire.say(ClientMessage::Event(Cow::Borrowed(event))).await?;
                }
                _ => {}
            }
        }
    }

    async fn authenticate(&mut self, challenge: String) -> Result<EventId, StepFailed> {
        let url = RelayUrl::parse(self.url.as_str()).map_err(|e| StepFailed::NotSigned(e.to_string()))?;
        let answer = sign(EventBuilder::auth(challenge, url), self.keys)?;
        self.wire.say(ClientMessage::Auth(Cow::Borrowed(&answer))).await?;
        Ok(answer.id)
    }

    async fn read_back(&mut self, event: &Event) -> Result<(), StepFailed> {
        let question = SubscriptionId::new(ADDRESS);
        self.wire.say(ClientMessage::req(question.clone(), vec![Filter::new().id(event.id)])).await?;
        loop {
            match self.hear().await? {
                Frame::Event(back) if *back == *event => return Ok(()),
                Frame::End(id) if id == question => return Err(StepFailed::NotKept),
                Frame::Closed { id, why } if id == question => return Err(StepFailed::Refused(why)),
                _ => {}
            }
        }
    }

    /// The next thing said; nonsense in between is passed over.
    async fn hear(&mut self) -> Result<Frame, StepFailed> {
        loop {
            let read = match self.wire.next().await? {
                Message::Text(text) => frame::read(&text),
                _ => Err(Garbage::Binary),
            };
            if let Ok(frame) = read {
                return Ok(frame);
            }
        }
    }
}

/// What an HTTP date, in whole seconds, says about the other's clock, if it was read between two
/// moments of ours.
fn clock_difference(date: &str, before: Timestamp, after: Timestamp) -> Option<ClockDifference> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let theirs = theirs.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis() as i64 + 500;
    let travelled = after.millis_since(before);
    let ours = (before.as_millis() + travelled / 2) as i64;
    Some(ClockDifference { ahead_ms: theirs - ours, give_or_take_ms: 500 + travelled / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_tells_the_difference_of_clocks_within_its_second() {
        let at = |ms: u64| Timestamp::from_millis(1_790_000_000_000 + ms);
        let date = "Mon, 21 Sep 2026 14:13:20 GMT";
        assert_eq!(
            clock_difference(date, at(0), at(1000)),
            Some(ClockDifference { ahead_ms: 0, give_or_take_ms: 1000 })
        );
        assert_eq!(clock_difference(date, at(600_000), at(600_000)).unwrap().ahead_ms, -599_500);
        assert_eq!(clock_difference("soon", at(0), at(0)), None);
    }
}
