use super::*;
use crate::event::{self, ANNOUNCEMENT_KIND};
use nostr_sdk::{EventBuilder, Keys, Tag, TagKind};

const NOW: u64 = 1_790_000_000;

fn announced(keys: &Keys, created_at: u64, content: &str) -> Event {
    let tags = [Tag::identifier(event::IDENTIFIER), Tag::hashtag(event::TOPIC)];
    let event = EventBuilder::new(ANNOUNCEMENT_KIND, content).tags(tags);
    event.custom_created_at(created_at.into()).sign_with_keys(keys).unwrap()
}

fn receipt(keys: &Keys, content: String) -> Event {
    EventBuilder::new(Kind::Custom(1474), content).sign_with_keys(keys).unwrap()
}

fn kept(shelf: &Shelf, now: u64) -> Vec<EventId> {
    shelf.matching(&Filter::new().hashtag(event::TOPIC), now).map(|event| event.id).collect()
}

#[test]
fn the_latest_of_an_address_is_kept_in_whatever_order_they_come() {
    let keys = Keys::generate();
    let [first, second, third] = [0, 1, 2].map(|at| announced(&keys, NOW + at, ""));
    let mut shelf = Shelf::default();
    assert_eq!(shelf.save(&second, NOW), Ok(()));
    assert_eq!(shelf.save(&second, NOW), Err(NotKept::Duplicate));
    assert_eq!(shelf.save(&first, NOW), Err(NotKept::Replaced));
    assert_eq!(shelf.save(&third, NOW), Ok(()));
    assert_eq!(kept(&shelf, NOW), [third.id]);
    let other = announced(&Keys::generate(), NOW, "");
    assert_eq!(shelf.save(&other, NOW), Ok(()));
    assert_eq!(kept(&shelf, NOW).len(), 2);
}

#[test]
fn of_one_second_the_lower_id_stays() {
    let keys = Keys::generate();
    let mut two = ["a", "b"].map(|content| announced(&keys, NOW, content));
    two.sort_by_key(|event| event.id);
    for order in [[0, 1], [1, 0]] {
        let mut shelf = Shelf::default();
        for nth in order {
            let _ = shelf.save(&two[nth], NOW);
        }
        assert_eq!(kept(&shelf, NOW), [two[0].id]);
    }
}

#[test]
fn its_author_deletes_an_announcement_and_may_announce_again() {
    let keys = Keys::generate();
    let mut shelf = Shelf::default();
    let first = announced(&keys, NOW, "");
    shelf.save(&first, NOW).unwrap();
    shelf.save(&event::deletion_event(&[first.id], &Keys::generate(), NOW + 5), NOW).unwrap();
    assert_eq!(kept(&shelf, NOW), [first.id]);
    shelf.save(&event::deletion_event(&[], &keys, NOW + 5), NOW).unwrap();
    assert!(kept(&shelf, NOW).is_empty());
    assert_eq!(shelf.save(&first, NOW), Err(NotKept::Deleted));
    assert_eq!(shelf.save(&announced(&keys, NOW + 5, ""), NOW), Err(NotKept::Deleted));
    assert_eq!(shelf.save(&announced(&keys, NOW + 6, ""), NOW), Ok(()));
}

#[test]
fn a_deletion_by_id_takes_that_event_only_and_whenever_it_comes() {
    let keys = Keys::generate();
    let (first, second) = (receipt(&keys, "1".into()), receipt(&keys, "2".into()));
    let deletion = EventBuilder::new(Kind::EventDeletion, "").tags([Tag::event(first.id)]);
    let deletion = deletion.sign_with_keys(&keys).unwrap();
    let mut shelf = Shelf::default();
    shelf.save(&second, NOW).unwrap();
    shelf.save(&deletion, NOW).unwrap();
    assert_eq!(shelf.save(&first, NOW), Err(NotKept::Deleted));
    assert!(shelf.get(&second.id).is_some());
}

#[test]
fn what_expires_is_not_given_out_nor_taken_in() {
    let keys = Keys::generate();
    let expiring = EventBuilder::new(ANNOUNCEMENT_KIND, "").tags([
        Tag::identifier("x"),
        Tag::hashtag(event::TOPIC),
        Tag::custom(TagKind::Expiration, [NOW.to_string()]),
    ]);
    let expiring = expiring.sign_with_keys(&keys).unwrap();
    let mut shelf = Shelf::default();
    assert_eq!(shelf.save(&expiring, NOW + 1), Err(NotKept::Expired));
    shelf.save(&expiring, NOW).unwrap();
    assert_eq!(kept(&shelf, NOW), [expiring.id]);
    assert!(kept(&shelf, NOW + 1).is_empty());
}

#[test]
fn one_key_gets_its_share_of_the_shelf_and_no_more() {
    let (greedy, modest) = (Keys::generate(), Keys::generate());
    let mut shelf = Shelf::default();
    let quiet = announced(&modest, NOW, "");
    shelf.save(&quiet, NOW).unwrap();
    for nth in 0..EVENTS_PER_KEY_MAX + 20 {
        shelf.save(&receipt(&greedy, nth.to_string()), NOW).unwrap();
    }
    assert_eq!(shelf.events.len(), EVENTS_PER_KEY_MAX + 1);
    assert_eq!(shelf.of(&greedy.public_key()).count(), EVENTS_PER_KEY_MAX);
    assert_eq!(kept(&shelf, NOW), [quiet.id]);
}

#[test]
fn long_events_push_out_those_that_lay_longest_and_nothing_is_left_behind() {
    let mut shelf = Shelf::default();
    let first = receipt(&Keys::generate(), "first".into());
    shelf.save(&first, NOW).unwrap();
    // Many keys of few events each, as somebody would who knows of the share.
    for _ in 0..110 {
        let keys = Keys::generate();
        for nth in 0..10 {
            shelf.save(&receipt(&keys, format!("{nth}{}", "x".repeat(16_000))), NOW).unwrap();
        }
    }
    assert!(shelf.bytes <= BYTES_MAX && shelf.get(&first.id).is_none());
    assert_eq!(shelf.events.len(), shelf.arrivals.len());
    assert_eq!(shelf.bytes, shelf.events.values().map(|kept| kept.bytes).sum::<usize>());
    let ids: Vec<EventId> = shelf.events.keys().copied().collect();
    ids.iter().for_each(|id| shelf.remove(id));
    assert!(shelf.authors.is_empty() && shelf.addresses.is_empty() && shelf.arrivals.is_empty());
    assert_eq!(shelf.bytes, 0);
}
