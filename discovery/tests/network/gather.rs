//! Asking relays once.

use super::support::{LIVE, Notebook, Played, announced, clock, soon};
use discovery::relays::{Broken, Gathered, NotGathered, Question, gather};
use nostr_sdk::Event;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use url::Url;

/// For relays that come to an end by themselves.
const LONG: Duration = Duration::from_secs(30);

async fn asked(urls: &[&Url], patience: Duration) -> (Vec<Gathered>, Arc<Notebook>) {
    let urls: Vec<Url> = urls.iter().map(|url| (*url).clone()).collect();
    let notebook = Notebook::new();
    let gathered = soon(
        "the relays",
        gather(&urls, Arc::clone(&notebook) as _, Question::AnnouncedAt(clock()), patience),
    )
    .await;
    assert!(gathered.iter().map(|one| &one.relay).eq(&urls));
    (gathered, notebook)
}

/// Answers one question with these events, and an end.
async fn answers(relay: &Played, events: [&Event; 2]) {
    let mut visitor = relay.visitor().await;
    let id = visitor.asks().await;
    for event in events {
        visitor.show(&id, event).await;
    }
    visitor.tell(json!(["EOSE", id])).await;
    visitor.leaves().await;
}

#[tokio::test]
async fn one_dead_relay_of_three_costs_only_what_it_alone_had() {
    let (one, two, dead) = (Played::start().await, Played::start().await, Played::start().await);
    let dead_url = dead.url.clone();
    dead.die();
    let [a, b, c] = [1, 2, 3].map(announced);
    let urls = [&one.url, &dead_url, &two.url];
    let ((gathered, notebook), (), ()) =
        tokio::join!(asked(&urls, LONG), answers(&one, [&a, &b]), answers(&two, [&b, &c]));
    assert!(matches!(gathered[0].result, Ok(2)), "{gathered:?}");
    assert!(matches!(gathered[1].result, Err(NotGathered::NoConnection(_))), "{gathered:?}");
    assert!(matches!(gathered[2].result, Ok(2)), "{gathered:?}");
    assert_eq!(notebook.pages().events.len(), 3);
}

#[tokio::test]
async fn why_a_relay_was_not_heard_out_is_told_and_what_it_said_is_kept() {
    let [refusing, leaving, endless, mute] =
        [Played::start().await, Played::start().await, Played::start().await, Played::start().await];
    let urls = [&refusing.url, &leaving.url, &endless.url, &mute.url];
    let event = announced(1);
    let playing = async {
        let mut visitor = refusing.visitor().await;
        let id = visitor.asks().await;
        visitor.tell(json!(["CLOSED", id, "restricted: members only"])).await;
        let mut visitor = leaving.visitor().await;
        visitor.asks().await;
        drop(visitor);
        let mut going_on = endless.visitor().await;
        assert_eq!(going_on.asks().await, LIVE);
        going_on.show(LIVE, &event).await;
        (going_on, mute.ignored_visitor().await)
    };
    let ((gathered, notebook), _held) = tokio::join!(asked(&urls, Duration::from_secs(3)), playing);
    assert!(
        matches!(&gathered[0].result, Err(NotGathered::Refused(why)) if why == "restricted: members only")
    );
    assert!(
        matches!(gathered[1].result, Err(NotGathered::Broken(Broken::Closed | Broken::Failed(_)))),
        "{gathered:?}"
    );
    assert!(matches!(gathered[2].result, Err(NotGathered::Unfinished { events: 1 })), "{gathered:?}");
    assert!(matches!(gathered[3].result, Err(NotGathered::NoConnection(_))), "{gathered:?}");
    notebook.heard(&event).await;
}

#[tokio::test]
async fn a_relay_without_tls_where_tls_was_expected_is_no_relay() {
    let relay = Played::start().await;
    let mut url = relay.url.clone();
    url.set_scheme("wss").unwrap();
    let playing = async { drop(relay.ignored_visitor().await) };
    let urls = [&url];
    let ((gathered, _), ()) = tokio::join!(asked(&urls, LONG), playing);
    assert!(matches!(gathered[0].result, Err(NotGathered::NoConnection(_))), "{gathered:?}");
}
