//! Relays of all sorts, and what a listening node hears of them.

use super::support::{LIVE, Listening, Played, announced, clock, soon};
use discovery::{
    event,
    relay::GroupRelay,
    relays::{Garbage, Pace},
};
use futures::SinkExt;
use nostr_sdk::Keys;
use serde_json::json;
use std::time::Duration;
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::TaskTracker;

async fn group_relay(tasks: &TaskTracker) -> GroupRelay {
    GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, tasks).await.unwrap()
}

#[tokio::test]
async fn what_one_node_sends_others_hear_live_and_later_and_each_event_once() {
    let tasks = TaskTracker::new();
    let (one, two) = (group_relay(&tasks).await, group_relay(&tasks).await);
    let early = Listening::to(&[one.url(), two.url()]).await;
    early.until("both relays", |states| states.iter().all(|state| state.caught_up)).await;

    let announced = announced(1);
    early.relays.send(one.url(), &announced).await.unwrap();
    early.relays.send(two.url(), &announced).await.unwrap();
    early.notebook.heard(&announced).await;
    early.until("the repeat", |states| states.iter().map(|s| s.events_repeated).sum::<u64>() == 1).await;
    assert_eq!(early.notebook.pages().events.len(), 1);

    let late = Listening::to(&[two.url()]).await;
    late.notebook.heard(&announced).await;
    early.stop().await;
    late.stop().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_deletion_of_an_announcement_is_heard_and_no_other() {
    let tasks = TaskTracker::new();
    let (relay, keys) = (group_relay(&tasks).await, Keys::generate());
    let listening = Listening::to(&[relay.url()]).await;
    listening.until("the relay", |states| states[0].caught_up).await;
    let now = clock().as_millis() / 1000;
    // As the first Lobstah's: an `e` tag alone. Nobody follows this key.
    let old =
        nostr_sdk::EventBuilder::new(event::DELETION_KIND, "").tags([nostr_sdk::Tag::event(announced(1).id)]);
    listening.relays.send(relay.url(), &old.sign_with_keys(&keys).unwrap()).await.unwrap();
    let ours = event::deletion_event(&[announced(1).id], &keys, now);
    listening.relays.send(relay.url(), &ours).await.unwrap();
    listening.notebook.heard(&ours).await;
    assert_eq!(listening.notebook.pages().events.len(), 1);

    listening.relays.follow([keys.public_key()]);
    let pages = listening.notebook.until("the old one too", |pages| pages.events.len() == 2).await;
    assert!(pages.events.iter().all(|(_, event)| event.kind == event::DELETION_KIND));
    listening.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_dies_and_comes_back_is_asked_again() {
    let relay = Played::start().await;
    let listening = Listening::to(&[&relay.url]).await;
    let mut openings = listening.relays.openings(&relay.url).unwrap();
    let mut visitor = relay.visitor().await;
    assert_eq!(visitor.asks().await, LIVE);
    let before = announced(1);
    visitor.show(LIVE, &before).await;
    listening.notebook.heard(&before).await;

    drop(visitor);
    let address = relay.die();
    listening.until("the loss", |states| !states[0].connected && states[0].last_error.is_some()).await;
    let relay = Played::start_on(address).await;
    let mut visitor = relay.visitor().await;
    assert_eq!(visitor.asks().await, LIVE);
    let after = announced(2);
    visitor.show(LIVE, &before).await;
    visitor.show(LIVE, &after).await;
    listening.notebook.heard(&after).await;
    soon("a second connection", openings.wait_for(|&count| count == 2)).await.unwrap();
    assert_eq!(listening.relays.states()[0].events_repeated, 1);
    listening.stop().await;
}

#[tokio::test]
async fn garbage_is_counted_and_dropped_and_what_follows_is_heard() {
    let relay = Played::start().await;
    let listening = Listening::to(&[&relay.url]).await;
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    let note = nostr_sdk::EventBuilder::text_note("hello").sign_with_keys(&Keys::generate()).unwrap();
    visitor.show(LIVE, &note).await;
    visitor.tell_raw("{".into()).await;
    visitor.tell(json!(["EVENT", LIVE, {"id": "no"}])).await;
    visitor.tell_raw("x".repeat(200_000)).await;
    visitor.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    visitor.tell(json!(["NOTICE", "\u{1b}[2Jbuy\nnow"])).await;
    visitor.tell(json!(["COUNT", "x", {"count": 3}])).await;
    visitor.tell(json!(["EOSE", "never asked"])).await;
    let good = announced(1);
    visitor.show("whatever", &good).await;
    listening.notebook.heard(&good).await;
    let pages = listening.notebook.pages();
    assert_eq!(
        pages.garbage,
        [
            Garbage::Unasked { kind: 1 },
            Garbage::Malformed,
            Garbage::Malformed,
            Garbage::TooLong { bytes: 200_000 },
            Garbage::Binary,
        ]
    );
    let state = &listening.relays.states()[0];
    assert_eq!((state.garbage, state.events_heard, state.caught_up), (5, 1, false));
    assert_eq!(state.notice.as_deref(), Some("[2Jbuy now"));
    listening.stop().await;
}

#[tokio::test]
async fn a_message_too_long_to_skip_costs_that_connection_and_no_memory() {
    let relay = Played::start().await;
    let listening = Listening::to(&[&relay.url]).await;
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    // The node leaves before it has read it all, so writing may fail.
    let _ = visitor.0.send(Message::text("x".repeat(8 * 1024 * 1024))).await;
    drop(visitor);
    let mut visitor = relay.visitor().await;
    assert_eq!(visitor.asks().await, LIVE);
    assert_eq!(listening.notebook.pages().garbage, [Garbage::Endless]);
    listening.stop().await;
}

#[tokio::test]
async fn one_relays_flood_is_shed_and_costs_the_others_nothing() {
    let (flooding, quiet) = (Played::start().await, Played::start().await);
    let listening = Listening::to(&[&flooding.url, &quiet.url]).await;
    let (mut flood, mut calm) = (flooding.visitor().await, quiet.visitor().await);
    flood.asks().await;
    calm.asks().await;
    let repeated = json!(["EVENT", LIVE, announced(1)]).to_string();
    let tasks = TaskTracker::new();
    let flooding = tasks.spawn(async move {
        loop {
            flood.tell_raw(repeated.clone()).await;
            yield_now().await;
        }
    });
    listening.until("shedding", |states| states[0].shed > 1000).await;
    for seed in 2..12 {
        let event = announced(seed);
        calm.show(LIVE, &event).await;
        listening.notebook.heard(&event).await;
    }
    let states = listening.relays.states();
    assert_eq!((states[1].shed, states[1].events_heard), (0, 10));
    assert_eq!(states[0].events_heard, 1);
    flooding.abort();
    listening.stop().await;
}

#[tokio::test]
async fn an_end_of_stored_events_is_no_end_of_events() {
    let relay = Played::start().await;
    let listening = Listening::to(&[&relay.url]).await;
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    visitor.tell(json!(["EOSE", LIVE])).await;
    listening.until("the lie", |states| states[0].caught_up).await;
    visitor.tell(json!(["EOSE", LIVE])).await;
    let event = announced(1);
    visitor.show(LIVE, &event).await;
    listening.notebook.heard(&event).await;
    listening.stop().await;
}

#[tokio::test]
async fn a_relay_that_hangs_is_connected_to_anew() {
    let relay = Played::start().await;
    let pace =
        Pace { reconnect: Duration::from_secs(1), silence: Duration::from_millis(300), ..Pace::default() };
    let listening = Listening::with(&[&relay.url], pace, None).await;
    let mut hanging = relay.visitor().await;
    hanging.asks().await;
    // Not polled any more, it answers nothing, pings neither.
    let mut visitor = relay.visitor().await;
    assert_eq!(visitor.asks().await, LIVE);
    assert!(listening.relays.states()[0].last_error.as_deref().unwrap().contains("silent"));
    listening.stop().await;
}
