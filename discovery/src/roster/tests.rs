//! Promises of the roster, with announcements that nobody signed: what is checked is `event`'s.

mod flood;
mod orders;

use super::{Limits, Roster, TakenIn};
use crate::event::{Announced, Checked, Deleted, Publication};
use nostr_sdk::{EventId, PublicKey};
use protocol::{Announcement, NodeId, Tier, Timestamp, canonical::sha256};

/// A moment, in seconds and as a timestamp.
const NOW_S: u64 = 1_790_000_000;
const NOW: Timestamp = Timestamp::from_millis(NOW_S * 1000);

fn seconds(n: u64) -> Timestamp {
    Timestamp::from_millis((NOW_S + n) * 1000)
}

fn roster(limits: Limits) -> Roster<u32> {
    Roster::new(limits, 7)
}

fn model(name: &str) -> protocol::ModelName {
    name.parse().unwrap()
}

/// Names that look as random as keys do.
fn key(kind: &str, n: u64) -> [u8; 32] {
    sha256(format!("{kind} {n}").as_bytes())
}

fn node(n: u64) -> NodeId {
    NodeId::from_bytes(key("node", n))
}

fn author(n: u64) -> PublicKey {
    PublicKey::from_byte_array(key("author", n))
}

/// An announcement of node `n`, made `at` seconds after [`NOW`] was, which a tracker lists.
fn said(n: NodeId, at: u64, models: &[&str]) -> Announced {
    let announcement = Announcement {
        node: n,
        url: "https://mini.example.net:17474".parse().unwrap(),
        ttl_seconds: 300,
        announced_at: seconds(at),
        label: Some("mini".into()),
        models: Some(models.iter().map(|name| model(name)).collect()),
        tier: Tier::Batch,
        capacity: None,
        prices: None,
        protocol: 2,
        nostr_pubkey: None,
    };
    let text = format!("{announcement:?}");
    let half = sha256(text.as_bytes());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half);
    Announced { announcement, canonical: text.into(), signature, publication: None }
}

/// The same, published by a Nostr key `created` seconds after [`NOW`].
fn published(announced: Announced, author: PublicKey, created: u64, expires: Option<u64>) -> Announced {
    let name = format!("{:?} {author} {created} {expires:?}", announced.signature);
    let publication = Publication {
        author,
        event: EventId::from_byte_array(sha256(name.as_bytes())),
        created_at: NOW_S + created,
        expires_at: expires.map(|second| NOW_S + second),
    };
    Announced { publication: Some(publication), ..announced }
}

fn event_of(announced: &Announced) -> EventId {
    announced.publication.unwrap().event
}

fn heard(announced: Announced) -> Checked {
    Checked::Announced(Box::new(announced))
}

fn deletion(author: PublicKey, events: Vec<EventId>, up_to: Option<u64>) -> Checked {
    Checked::Deleted(Deleted { author, events, up_to: up_to.map(|second| NOW_S + second) })
}

#[test]
fn the_newest_announcement_counts_and_what_is_attached_stays_with_the_url() {
    let mut roster = roster(Limits::default());
    assert_eq!(roster.take_in(heard(said(node(1), 0, &["a"])), NOW), TakenIn::New);
    roster.get(&node(1), NOW).unwrap().attached.set(5).unwrap();
    assert_eq!(roster.take_in(heard(said(node(1), 0, &["a"])), NOW), TakenIn::Known);
    assert_eq!(roster.take_in(heard(said(node(1), 1, &["a"])), NOW), TakenIn::Newer { material: false });
    assert_eq!(roster.take_in(heard(said(node(1), 2, &["a", "b"])), NOW), TakenIn::Newer { material: true });
    assert_eq!(roster.take_in(heard(said(node(1), 1, &["a"])), NOW), TakenIn::Older);
    assert_eq!(roster.get(&node(1), NOW).unwrap().attached.get(), Some(&5));

    let mut moved = said(node(1), 3, &["a"]);
    moved.announcement.url = "https://other.example.net".parse().unwrap();
    assert_eq!(roster.take_in(heard(moved), NOW), TakenIn::Newer { material: true });
    assert_eq!(roster.get(&node(1), NOW).unwrap().attached.get(), None);
    assert!(roster.serving(&model("b"), 9, 0, NOW).is_empty());
    roster.store.assert_sound();
}

#[test]
fn what_a_key_took_back_does_not_come_again_and_what_others_published_stays() {
    let mut roster = roster(Limits::default());
    let by = |n, created| published(said(node(1), 0, &["a"]), author(n), created, None);
    roster.take_in(heard(by(1, 10)), NOW);
    assert_eq!(
        roster.take_in(deletion(author(2), vec![event_of(&by(1, 10))], Some(99)), NOW),
        TakenIn::Noted
    );
    assert_eq!(roster.len(), 1);
    assert_eq!(
        roster.take_in(deletion(author(1), vec![event_of(&by(1, 10))], None), NOW),
        TakenIn::Withdrawn { entries: 1 }
    );
    for again in [by(1, 10), by(1, 9), by(2, 98)] {
        assert_eq!(roster.take_in(heard(again), NOW), TakenIn::Gone);
    }
    assert!(roster.knows(&event_of(&by(1, 10))) && roster.serving(&model("a"), 9, 0, NOW).is_empty());
    assert_eq!(roster.take_in(heard(by(3, 1)), NOW), TakenIn::New);
    let old = said(node(1), 0, &["a"]);
    assert_eq!(roster.take_in(heard(said(node(1), 1, &["a"])), NOW), TakenIn::Newer { material: false });
    assert_eq!(roster.take_in(heard(old), NOW), TakenIn::Older);
    roster.store.assert_sound();
}

#[test]
fn a_later_event_that_was_taken_back_before_it_came_takes_the_earlier_along() {
    let mut roster = roster(Limits::default());
    let by = |created| published(said(node(1), 0, &["a"]), author(1), created, None);
    assert_eq!(roster.take_in(deletion(author(1), vec![event_of(&by(3))], None), NOW), TakenIn::Noted);
    assert_eq!(roster.take_in(heard(by(1)), NOW), TakenIn::New);
    assert_eq!(roster.take_in(heard(by(3)), NOW), TakenIn::Withdrawn { entries: 1 });
    assert!(roster.is_empty());
}

#[test]
fn what_was_taken_back_is_remembered_until_it_could_not_be_heard_again() {
    let mut roster = roster(Limits::default());
    let mut long = said(node(1), 0, &["a"]);
    long.announcement.ttl_seconds = 1000;
    roster.take_in(heard(long.clone()), NOW);
    roster.take_in(heard(said(node(1), 1, &["a"])), NOW);
    // The newer one ends first, and the older is not heard again for that.
    assert_eq!(roster.expire(seconds(301)), 0);
    assert_eq!(roster.expire(seconds(302)), 1);
    assert_eq!(roster.take_in(heard(long.clone()), seconds(400)), TakenIn::Older);
    assert!(!roster.wants(&node(1), seconds(0)) && roster.wants(&node(1), seconds(2)));
    assert_eq!((roster.len(), roster.store.len()), (0, 1));
    roster.expire(seconds(1001));
    assert_eq!(roster.store.len(), 0);
    assert_eq!(roster.take_in(heard(long), seconds(1001)), TakenIn::Gone);
    roster.store.assert_sound();
}

#[test]
fn an_event_that_ends_takes_its_worker_along_unless_another_published_it_too() {
    let mut roster = roster(Limits::default());
    let of = |n| said(node(n), 0, &["a"]);
    roster.take_in(heard(published(of(1), author(1), 0, Some(10))), NOW);
    roster.take_in(heard(published(of(2), author(2), 0, Some(10))), NOW);
    roster.take_in(heard(of(2)), NOW);
    assert_eq!(roster.serving(&model("a"), 9, 0, Timestamp::from_millis(NOW_S * 1000 + 10_999)).len(), 2);
    // Whoever ended is not handed out, before and after anybody cleaned up.
    assert_eq!(roster.serving(&model("a"), 9, 0, seconds(11)).len(), 1);
    assert_eq!(roster.expire(seconds(11)), 1);
    assert_eq!(roster.get(&node(2), seconds(11)).unwrap().node, node(2));
    assert_eq!(roster.expire(seconds(301)), 1);
    roster.store.assert_sound();
}

#[test]
fn friends_and_we_ourselves_are_no_strangers() {
    let mut roster = roster(Limits::default());
    roster.take_in(heard(said(node(1), 0, &["a"])), NOW);
    roster.set_ignored([node(1)].into());
    assert!(roster.is_empty() && !roster.wants(&node(1), seconds(9)));
    assert_eq!(roster.take_in(heard(said(node(1), 1, &["a"])), NOW), TakenIn::Ignored);
    roster.set_ignored([].into());
    assert_eq!(roster.take_in(heard(said(node(1), 1, &["a"])), NOW), TakenIn::New);
    roster.store.assert_sound();
}

#[test]
fn those_who_served_us_are_asked_first_and_the_others_in_turn() {
    let mut roster = roster(Limits::default());
    for n in 0..10 {
        roster.take_in(heard(said(node(n), 0, &["llama3.1"])), NOW);
    }
    roster.prove(&node(7));
    let asked = |most, spread| {
        let serving = roster.serving(&model("llama3.1:latest"), most, spread, NOW);
        serving.iter().map(|entry| entry.node).collect::<Vec<_>>()
    };
    let mut second: Vec<_> = (0..9).map(|spread| asked(2, spread)[1]).collect();
    assert!((0..9).all(|spread| asked(2, spread)[0] == node(7)));
    second.sort();
    second.dedup();
    assert_eq!(second.len(), 9);
    assert_eq!((asked(99, 3).len(), asked(0, 3).len()), (10, 0));
    assert_eq!(roster.models().collect::<Vec<_>>(), ["llama3.1:latest"]);
    roster.store.assert_sound();
}

#[test]
fn a_model_named_twice_is_offered_once() {
    let mut roster = roster(Limits::default());
    roster.take_in(heard(said(node(1), 0, &["b", "a:latest", "a", "b"])), NOW);
    let entry = roster.get(&node(1), NOW).unwrap();
    let names: Vec<_> = entry.offers().unwrap().iter().map(|offer| offer.model()).collect();
    assert_eq!(names, ["a:latest", "b:latest"]);
    assert_eq!(entry.offer(&model("a")), entry.offer(&model("a:latest")));
    assert_eq!(roster.serving(&model("a"), 9, 0, NOW).len(), 1);
    roster.store.assert_sound();
}
