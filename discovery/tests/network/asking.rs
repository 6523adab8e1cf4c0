//! What a node says to relays, and when it says it again.

use super::support::{LIVE, Listening, Played, announced, clock};
use discovery::relays::{BadRelays, DeafEar, NotSent, Pace, RELAYS_MAX, Relays, Setup, keys};
use nostr_sdk::Keys;
use protocol::NostrKeypair;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use url::Url;

const DEPARTURES: &str = "lobstah-departures";

#[tokio::test]
async fn a_subscription_that_the_relay_ends_is_asked_for_again() {
    let relay = Played::start().await;
    let pace = Pace { rest: Duration::from_millis(50), ..Pace::default() };
    let listening = Listening::with(&[&relay.url], pace, None).await;
    let mut visitor = relay.visitor().await;
    for why in ["error: shutting down", "rate-limited: slow down", "", "auth-required: who are you"] {
        assert_eq!(visitor.asks().await, LIVE);
        visitor.tell(json!(["CLOSED", LIVE, why])).await;
    }
    assert_eq!(visitor.asks().await, LIVE);
    visitor.tell(json!(["CLOSED", "another's", "error: none of yours"])).await;
    let event = announced(1);
    visitor.show(LIVE, &event).await;
    listening.notebook.heard(&event).await;
    assert!(listening.relays.states()[0].last_error.as_deref().unwrap().contains("auth-required"));
    listening.stop().await;
}

#[tokio::test]
async fn whom_to_follow_is_told_to_each_connection_once_and_again_when_it_changes() {
    let relay = Played::start().await;
    let listening = Listening::to(&[&relay.url]).await;
    let mut visitor = relay.visitor().await;
    assert_eq!(visitor.asks().await, LIVE);
    let [one, two] = [Keys::generate().public_key(), Keys::generate().public_key()];
    listening.relays.follow([one]);
    let question = visitor.says().await;
    assert_eq!((&question[1], &question[2]["authors"]), (&json!(DEPARTURES), &json!([one])));
    assert_eq!(question[2]["kinds"], json!([5]));
    listening.relays.follow([one]);
    listening.relays.follow([two]);
    assert_eq!(visitor.says().await[2]["authors"], json!([two]));

    drop(visitor);
    let mut visitor = relay.visitor().await;
    let mut questions = [visitor.asks().await, visitor.asks().await];
    questions.sort();
    assert_eq!(questions, [LIVE, DEPARTURES]);
    listening.stop().await;
}

#[tokio::test]
async fn a_relay_that_wants_to_know_who_we_are_is_told_if_we_have_a_key_for_that() {
    let (relay, keys) = (Played::start().await, Keys::generate());
    let listening = Listening::with(&[&relay.url], Pace::default(), Some(keys.clone())).await;
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    visitor.tell(json!(["AUTH", "challenge"])).await;
    let answer = visitor.says().await;
    assert_eq!((&answer[0], &answer[1]["pubkey"]), (&json!("AUTH"), &json!(keys.public_key())));
    listening.stop().await;
}

#[tokio::test]
async fn sending_says_what_became_of_the_event() {
    let (relay, dead) = (Played::start().await, Played::start().await);
    let dead_url = dead.url.clone();
    dead.die();
    let listening = Listening::to(&[&relay.url, &dead_url]).await;
    let early = listening.relays.send(&relay.url, &announced(1)).await;
    assert!(matches!(early, Err(NotSent::NotYet)), "{early:?}");
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    listening.until("the dead one", |states| states[1].last_error.is_some()).await;
    let (event, unknown) = (announced(1), Url::parse("wss://elsewhere.example").unwrap());
    let refusing = async {
        let id = visitor.publishes().await.id;
        visitor.tell(json!(["OK", announced(2).id, true, ""])).await;
        visitor.tell(json!(["OK", id, false, "blocked: not here"])).await;
    };
    let (sent, ()) = tokio::join!(listening.relays.send(&relay.url, &event), refusing);
    assert!(matches!(sent, Err(NotSent::Refused(why)) if why == "blocked: not here"));
    assert!(matches!(listening.relays.send(&dead_url, &event).await, Err(NotSent::NotConnected(_))));
    assert!(matches!(listening.relays.send(&unknown, &event).await, Err(NotSent::Unknown(_))));
    let leaving = async { drop((visitor.publishes().await, visitor)) };
    let (sent, ()) = tokio::join!(listening.relays.send(&relay.url, &event), leaving);
    assert!(matches!(sent, Err(NotSent::NoAnswer(_))), "{sent:?}");
    listening.stop().await;
}

#[tokio::test]
async fn stopping_closes_every_connection_and_ends_every_task() {
    let (relay, ignoring) = (Played::start().await, Played::start().await);
    let listening = Listening::to(&[&relay.url, &ignoring.url]).await;
    let mut visitor = relay.visitor().await;
    visitor.asks().await;
    let held = ignoring.ignored_visitor().await;
    listening.stop().await;
    visitor.leaves().await;
    drop(held);
}

#[tokio::test]
async fn bad_relays_are_named_and_doubles_count_once() {
    let tasks = TaskTracker::new();
    let setup = |urls: Vec<String>| Setup {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        ear: Arc::new(DeafEar),
        keys: None,
        clock,
        pace: Pace::default(),
    };
    let bad = Relays::connect(setup(vec!["https://relay.example".into()]), &tasks).await;
    assert!(matches!(bad, Err(BadRelays::NotARelay(url)) if url.as_str() == "https://relay.example/"));
    let many = (0..=RELAYS_MAX).map(|nth| format!("ws://127.0.0.1:{}", nth + 1)).collect();
    assert!(matches!(Relays::connect(setup(many), &tasks).await, Err(BadRelays::TooMany(33))));
    let twice = setup(vec!["ws://127.0.0.1:1".into(), "ws://127.0.0.1:1/".into()]);
    let relays = Relays::connect(twice, &tasks).await.unwrap();
    assert_eq!(relays.states().len(), 1);
    relays.stop().await;
}

#[test]
fn a_nodes_nostr_keys_are_the_same_for_the_sdk() {
    let pair = NostrKeypair::from_secret(&[7; 32]).unwrap();
    assert_eq!(keys(&pair).unwrap().public_key().to_hex(), pair.public_hex());
}
