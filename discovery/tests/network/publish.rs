//! What a node publishes, where, and how it is taken back.

use super::{
    publishing::{LONG, Publishing, is_announced, offer, read, why},
    support::{Listening, Played, clock},
    tracker::Tracker,
};
use axum::response::IntoResponse;
use discovery::{event, publish::Offer, relay::GroupRelay};
use nostr_sdk::Event;
use protocol::{Announcement, Keypair, Signed, Tier, Timestamp, Unannounce};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn an_announcement_is_seen_renewed_replaced_and_taken_back() {
    let tasks = TaskTracker::new();
    let relay = GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, &tasks).await.unwrap();
    let listening = Listening::to(&[relay.url()]).await;
    listening.until("the relay", |states| states[0].caught_up).await;
    let heard = |count| {
        let notebook = Arc::clone(&listening.notebook);
        async move {
            let pages = notebook.until("the next event", |pages| pages.events.len() >= count).await;
            pages.events.into_iter().map(|(_, event)| event).collect::<Vec<_>>()
        }
    };
    let publishing = Publishing::to(&[relay.url()], &[], Some(offer(Duration::from_secs(2)))).await;
    let renewed = heard(3).await;
    for pair in renewed.windows(2) {
        assert!(pair[1].created_at > pair[0].created_at);
        assert!(read(&pair[1]).announced_at > read(&pair[0]).announced_at);
    }
    let first = read(&renewed[0]);
    assert_eq!((first.protocol, first.ttl_seconds), (2, 2));
    assert_eq!(first.nostr_pubkey, Some(publishing.keys.public_key().to_bytes()));

    let changed = Offer { tier: Tier::Interactive, ..offer(LONG) };
    publishing.offers.send_replace(Some(changed));
    let is_new =
        |event: &Event| event.kind == event::ANNOUNCEMENT_KIND && read(event).tier == Tier::Interactive;
    let pages = listening
        .notebook
        .until("the change", |pages| pages.events.iter().any(|(_, event)| is_new(event)))
        .await;
    let latest = pages.events.last().unwrap().1.clone();

    publishing.offers.send_replace(None);
    let deletion = heard(pages.events.len() + 1).await.pop().unwrap();
    assert_eq!(deletion.kind, event::DELETION_KIND);
    assert!(deletion.tags.event_ids().any(|id| *id == latest.id));
    assert!(deletion.created_at > latest.created_at);

    publishing.offers.send_replace(Some(offer(LONG)));
    let again = heard(pages.events.len() + 2).await.pop().unwrap();
    assert!(again.created_at > deletion.created_at);
    publishing.stop().await;
    let last = heard(pages.events.len() + 3).await.pop().unwrap();
    assert_eq!(last.kind, event::DELETION_KIND);
    let late = Listening::to(&[relay.url()]).await;
    late.until("the rest", |states| states[0].caught_up).await;
    assert!(late.notebook.pages().events.iter().all(|(_, event)| event.kind == event::DELETION_KIND));
    late.stop().await;
    listening.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn each_place_has_its_own_result_and_a_dead_one_delays_nobody() {
    let tasks = TaskTracker::new();
    let good = GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, &tasks).await.unwrap();
    let (refusing, dead) = (Played::start().await, Played::start().await);
    let dead_url = dead.url.clone();
    dead.die();
    let node = Keypair::from_seed(&[9; 32]).node_id();
    let listing = Tracker::that(move |path| {
        let registered = json!({"ok": true, "pubkey": node, "ttlSeconds": 1, "registeredCount": 1});
        let answer = if path == "/announce" { registered } else { json!({"ok": true, "removed": true}) };
        answer.to_string().into_response()
    })
    .await;
    let slow = Tracker::that(|_| {
        let refusal = r#"{"error":{"type":"rejected","reason":"future"}}"#;
        (axum::http::StatusCode::BAD_REQUEST, refusal).into_response()
    })
    .await;
    let urls = [good.url(), &refusing.url, &dead_url];
    let mut publishing = Publishing::to(&urls, &[&listing, &slow], Some(offer(LONG))).await;
    let mut visitor = refusing.visitor().await;
    let event = visitor.publishes().await;
    visitor.tell(json!(["OK", event.id, false, "blocked: not on the list"])).await;
    publishing
        .until("all results", |states| {
            let ok: Vec<_> = states.iter().map(|state| state.standing.ok()).collect();
            ok == [Some(true), Some(false), Some(false), Some(true), Some(false)]
        })
        .await;
    let states = publishing.states.borrow().clone();
    assert!(states.iter().map(|state| &state.place).eq([
        good.url(),
        &refusing.url,
        &dead_url,
        &listing.url,
        &slow.url
    ]));
    assert_eq!(why(&states[1]), "refused: blocked: not on the list");
    assert!(why(&states[2]).starts_with("not connected: nobody answers"), "{}", why(&states[2]));
    assert!(why(&states[4]).contains("set this machine's clock"), "{}", why(&states[4]));
    // All of them were given the same one.
    let listed = Signed::<Announcement>::parse(listing.seen()[0].1.as_bytes()).unwrap();
    assert_eq!(listed.to_json(), event.content);

    drop(visitor);
    publishing.stop().await;
    let (path, word) = listing.seen().pop().unwrap();
    assert_eq!(path, "/unannounce");
    let withdrawal = Unannounce::parse(word.as_bytes()).unwrap().verify(clock()).unwrap();
    assert!(withdrawal.node() == node && withdrawal.at() >= listed.unverified().announced_at);
    listing.stop().await;
    slow.stop().await;
    good.stop().await;
}

#[tokio::test]
async fn a_relay_that_comes_back_empty_is_told_at_once() {
    let tasks = TaskTracker::new();
    let relay = GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, &tasks).await.unwrap();
    let mut publishing = Publishing::to(&[relay.url()], &[], Some(offer(LONG))).await;
    publishing.until("the announcement", |states| is_announced(&states[0])).await;
    relay.stop().await;
    let relay = GroupRelay::start(relay.address(), clock, &tasks).await.unwrap();
    let listening = Listening::to(&[relay.url()]).await;
    let pages = listening.notebook.until("the announcement again", |pages| !pages.events.is_empty()).await;
    assert_eq!(read(&pages.events[0].1).node, Keypair::from_seed(&[9; 32]).node_id());
    publishing.stop().await;
    listening.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn what_was_refused_is_made_anew_and_what_got_no_answer_is_sent_again() {
    let relay = Played::start().await;
    let mut publishing = Publishing::to(&[&relay.url], &[], Some(offer(LONG))).await;
    let mut visitor = relay.visitor().await;
    let refused = visitor.publishes().await;
    visitor.tell(json!(["OK", refused.id, false, "invalid: have a newer one"])).await;
    let newer = visitor.publishes().await;
    assert!(newer.created_at > refused.created_at && read(&newer).announced_at > read(&refused).announced_at);
    // It leaves without an answer.
    drop(visitor);
    let mut visitor = relay.visitor().await;
    let same = visitor.publishes().await;
    assert_eq!(same.id, newer.id);
    visitor.tell(json!(["OK", same.id, false, "duplicate: already have it"])).await;
    publishing.until("a yes", |states| is_announced(&states[0])).await;
    let stopping = publishing.stop();
    let answering = async {
        let deletion = visitor.publishes().await;
        assert_eq!(deletion.tags.event_ids().copied().collect::<Vec<_>>(), [refused.id, newer.id]);
        visitor.tell(json!(["OK", deletion.id, true, ""])).await;
        visitor.leaves().await;
    };
    tokio::join!(stopping, answering);
}

#[tokio::test]
async fn stopping_waits_for_no_relay_longer_than_it_may() {
    let (mute, deaf) = (Played::start().await, Played::start().await);
    let mut publishing = Publishing::to(&[&mute.url, &deaf.url], &[], Some(offer(LONG))).await;
    // One takes the announcement and says nothing to its deletion, the other never says a word.
    let mut visitor = mute.visitor().await;
    let event = visitor.publishes().await;
    visitor.tell(json!(["OK", event.id, true, ""])).await;
    let mut silent = deaf.visitor().await;
    silent.publishes().await;
    publishing.until("the first", |states| is_announced(&states[0])).await;
    let states = publishing.states.clone();
    publishing.stop().await;
    assert!(why(&states.borrow()[0]).contains("not taken back"), "{states:?}");
    assert_eq!(visitor.publishes().await.kind, event::DELETION_KIND);
    // It may have heard the announcement: the deletion names that.
    assert_eq!(silent.publishes().await.tags.event_ids().copied().collect::<Vec<_>>(), [event.id]);
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_not_announced_and_what_was_is_taken_back() {
    let relay = Played::start().await;
    let nowhere = Offer { url: "http://127.0.0.1:17474".parse().unwrap(), ..offer(LONG) };
    let mut publishing = Publishing::to(&[&relay.url], &[], Some(nowhere.clone())).await;
    publishing.until("a reason", |states| states[0].standing.ok() == Some(false)).await;
    assert!(why(&publishing.states.borrow()[0]).contains("set discovery.announce_url"));

    publishing.offers.send_replace(Some(offer(LONG)));
    let mut visitor = relay.visitor().await;
    let event = visitor.publishes().await;
    assert_eq!(read(&event).url, offer(LONG).url);
    visitor.tell(json!(["OK", event.id, true, ""])).await;
    publishing.until("the announcement", |states| is_announced(&states[0])).await;

    publishing.offers.send_replace(Some(nowhere));
    let deletion = visitor.publishes().await;
    assert_eq!(deletion.kind, event::DELETION_KIND);
    visitor.tell(json!(["OK", deletion.id, true, ""])).await;
    publishing.until("a reason again", |states| states[0].standing.ok() == Some(false)).await;
    tokio::join!(publishing.stop(), visitor.leaves());
}

static WRONG_CLOCK_MS: AtomicU64 = AtomicU64::new(0);

fn wrong_clock() -> Timestamp {
    Timestamp::from_millis(WRONG_CLOCK_MS.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_clock_that_is_put_back_does_not_hide_the_node_for_so_long() {
    let now = clock().as_millis();
    WRONG_CLOCK_MS.store(now + 3_600_000, Ordering::SeqCst);
    let relay = Played::start().await;
    let mut publishing = Publishing::with(&[&relay.url], Vec::new(), Some(offer(LONG)), wrong_clock).await;
    let mut visitor = relay.visitor().await;
    let ahead = visitor.publishes().await;
    visitor.tell(json!(["OK", ahead.id, true, ""])).await;
    publishing.until("the announcement", |states| is_announced(&states[0])).await;

    WRONG_CLOCK_MS.store(now, Ordering::SeqCst);
    publishing.offers.send_replace(Some(Offer { tier: Tier::Interactive, ..offer(LONG) }));
    let deletion = visitor.publishes().await;
    assert_eq!((deletion.kind, deletion.tags.event_ids().next()), (event::DELETION_KIND, Some(&ahead.id)));
    visitor.tell(json!(["OK", deletion.id, true, ""])).await;
    let right = visitor.publishes().await;
    assert_eq!(right.created_at.as_secs(), now / 1000);
    assert!(deletion.created_at < right.created_at);
    drop(visitor);
    publishing.stop().await;
}
