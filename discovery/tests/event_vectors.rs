//! Events and words of an implementation that shares no code with this one.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod strangers;

use discovery::{
    Checked, Refused, Roster, TakenIn,
    event::{from_tracker, read},
    public_receipts::{Claimed, Hearsay, NotAReceipt, Tally, read_receipt, receipt_event},
    relays::Ear,
    roster::Limits,
};
use nostr_sdk::{Event, EventId, JsonUtil, Keys};
use protocol::{Signed, Timestamp, Unannounce};
use serde_json::Value;
use std::{fs, path::Path};
use strangers::RULES;

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn event(value: &Value) -> Event {
    Event::from_json(value.to_string()).unwrap()
}

fn moment(value: &Value) -> Timestamp {
    Timestamp::from_millis(value.as_u64().unwrap())
}

fn status(outcome: &Result<Checked, Refused>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(Refused::Stale) => "stale",
        Err(Refused::Future) => "future",
        Err(Refused::ForgedInner) => "bad signature",
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn announcements_are_taken_in_exactly_when_theirs_are_from_relays_and_from_trackers() {
    for case in vector("announcements.json").as_array().unwrap() {
        let (name, now) = (case["name"].as_str().unwrap(), moment(&case["now"]));
        let signed = Signed::parse(case["signed"].to_string().as_bytes()).unwrap();
        assert_eq!(status(&from_tracker(signed, now, RULES)), case["status"], "{name}");

        // Of an event the envelope's time counts too: where it is ahead, that is found out first.
        assert_eq!(status(&read(&event(&case["event"]), now, RULES)), case["status"], "{name}");
    }
}

#[test]
fn what_is_forged_or_no_announcement_is_refused() {
    let events = vector("nostr.json");
    let refused = |name: &str| read(&event(&events[name]), strangers::NOW, RULES).unwrap_err();
    assert_eq!(refused("forged_event"), Refused::ForgedOuter);
    assert_eq!(refused("content_is_not_json"), Refused::NotJson);
    assert_eq!(refused("receipt_event"), Refused::WrongKind);
}

#[test]
fn their_public_receipt_is_read_and_ours_says_the_same() {
    let theirs = event(&vector("nostr.json")["receipt_event"]);
    let receipt = read_receipt(&theirs).unwrap();
    let ours = receipt_event(&receipt, &Keys::generate(), theirs.created_at.as_secs()).unwrap();
    assert_eq!(ours.tags, theirs.tags);
    assert_eq!(read_receipt(&ours).unwrap().signed(), receipt.signed());

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = serde_json::from_str(&theirs.as_json()).unwrap();
        change(&mut value);
        read_receipt(&event(&value)).unwrap_err()
    };
    let other = format!("lob1{}", "7".repeat(64));
    assert_eq!(changed(&|event| event["kind"] = 1.into()), NotAReceipt::NotThatEvent);
    assert_eq!(changed(&|event| event["content"] = "{}".into()), NotAReceipt::BadReceipt);
    assert_eq!(changed(&|event| event["tags"][1][1] = other.as_str().into()), NotAReceipt::TagsDiffer);
    assert_eq!(changed(&|event| event["created_at"] = 1.into()), NotAReceipt::BadEnvelope);
}

#[test]
fn a_receipt_that_is_published_twice_is_counted_once() {
    let theirs = event(&vector("nostr.json")["receipt_event"]);
    let receipt = read_receipt(&theirs).unwrap();
    let again = receipt_event(&receipt, &Keys::generate(), 1).unwrap();
    let relay = "ws://relay.test".parse().unwrap();
    let hearsay = Hearsay::default();
    hearsay.hear(&relay, theirs.clone());
    assert!(hearsay.knows(&theirs.id));
    hearsay.hear(&relay, again);
    hearsay.hear(&relay, event(&vector("nostr.json")["forged_event"]));
    assert_eq!(hearsay.tally(), Tally { receipts: 1, refused: 1, left_out: 0 });
    let claims = hearsay.claims();
    assert_eq!(claims[0].1, Claimed { earned: 1156, spent: 0, receipts: 1 });
    assert_eq!(claims[1].1, Claimed { earned: 0, spent: 1156, receipts: 1 });
}

#[test]
fn their_deletion_takes_back_their_event_in_whatever_order_they_come() {
    let announced = event(&vector("announcements.json")[0]["event"]);
    let deletion = event(&vector("nostr.json")["deletion_event"]);
    let now = strangers::seconds(9);
    let read = |event: &Event| read(event, now, RULES).unwrap();

    let mut roster = Roster::<()>::new(Limits::default(), 1);
    assert_eq!(roster.take_in(read(&announced), now), TakenIn::New);
    assert!(roster.knows(&announced.id));
    assert_eq!(roster.take_in(read(&deletion), now), TakenIn::Withdrawn { entries: 1 });
    assert_eq!(roster.take_in(read(&announced), now), TakenIn::Gone);

    let mut roster = Roster::<()>::new(Limits::default(), 1);
    assert_eq!(roster.take_in(read(&deletion), now), TakenIn::Noted);
    assert_eq!(roster.take_in(read(&announced), now), TakenIn::Gone);
    assert!(roster.is_empty() && !roster.knows(&EventId::all_zeros()));
}

#[test]
fn their_word_to_a_tracker_takes_their_announcement_back() {
    let case = &vector("announcements.json")[0];
    let word = Unannounce::parse(vector("tracker.json")["unannounce"].to_string().as_bytes()).unwrap();
    let now = moment(&case["now"]);
    let announced =
        || from_tracker(Signed::parse(case["signed"].to_string().as_bytes()).unwrap(), now, RULES).unwrap();
    let mut roster = Roster::<()>::new(Limits::default(), 1);
    assert_eq!(roster.take_in(announced(), now), TakenIn::New);
    let leaves = Checked::Withdrawn(word.verify(now).unwrap());
    assert_eq!(roster.take_in(leaves, now), TakenIn::Withdrawn { entries: 1 });
    assert_eq!(roster.take_in(announced(), now), TakenIn::Gone);
}
