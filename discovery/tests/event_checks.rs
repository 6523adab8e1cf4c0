//! What of an event is looked at before anything is believed.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod strangers;

use discovery::{
    Checked, Refused, Roster, Rules, TakenIn,
    event::{ANNOUNCEMENT_KIND, DELETION_KIND, announcement_event, deletion_event, from_tracker, read},
    roster::Limits,
};
use nostr_sdk::{Event, EventBuilder, JsonUtil, Keys, Kind, Tag, TagKind, Timestamp as Seconds};
use protocol::{Announcement, Signed, limits};
use strangers::{NOW, NOW_S, RULES, event, nostr, saying, seconds, signed};

fn refused(event: &Event) -> Refused {
    read(event, NOW, RULES).unwrap_err()
}

/// Any event, signed by these keys at `NOW`.
fn made(keys: &Keys, kind: Kind, content: &str, tags: &[(&'static str, &str)]) -> Event {
    let tags = tags.iter().map(|(name, value)| Tag::custom(TagKind::from(*name), [*value]));
    let builder = EventBuilder::new(kind, content).tags(tags).custom_created_at(Seconds::from_secs(NOW_S));
    builder.sign_with_keys(keys).unwrap()
}

fn saying_at(url: &str) -> Announcement {
    Announcement { url: url.parse().unwrap(), ..saying(1) }
}

#[test]
fn our_own_event_is_what_the_contract_says_and_is_read_back() {
    let event = event(1);
    let tags: Vec<_> = event.tags.iter().map(|tag| tag.as_slice().to_vec()).collect();
    let node = saying(1).node.to_string();
    let expires = (NOW_S + 300).to_string();
    assert_eq!(
        tags,
        [["d", "lobstah-peer"], ["t", "lobstah"], ["lobstah_pubkey", &node], ["expiration", &expires]]
    );
    assert_eq!(event.kind.as_u16(), 31474);
    let event = Event::from_json(event.as_json()).unwrap();
    let Checked::Announced(announced) = read(&event, seconds(300), RULES).unwrap() else {
        panic!("an announcement")
    };
    assert_eq!(*announced.announcement(), saying(1));
    let publication = announced.publication().unwrap();
    assert_eq!((publication.author, publication.event), (nostr(1).public_key(), event.id));
    assert_eq!((publication.created_at, publication.expires_at), (NOW_S, Some(NOW_S + 300)));
    assert_eq!(read(&event, seconds(301), RULES).unwrap_err(), Refused::Expired);
}

#[test]
fn our_own_deletion_takes_back_what_it_names_and_all_before_it() {
    let (first, second) = (event(1), announcement_event(&signed(2, saying(2)), &nostr(1), NOW_S - 5));
    let of_another = event(3);
    let deletion = deletion_event(&[first.id], &nostr(1), NOW_S);
    assert_eq!(deletion.kind, DELETION_KIND);
    let mut roster = Roster::<()>::new(Limits::default(), 1);
    for event in [&first, &second, &of_another] {
        assert_eq!(roster.take_in(strangers::checked(event), NOW), TakenIn::New);
    }
    assert_eq!(roster.take_in(strangers::checked(&deletion), NOW), TakenIn::Withdrawn { entries: 2 });
    assert_eq!(roster.newest(9, NOW)[0].node, saying(3).node);
}

#[test]
fn nobody_deletes_for_another() {
    let victim = event(1);
    let mut roster = Roster::<()>::new(Limits::default(), 1);
    roster.take_in(strangers::checked(&victim), NOW);
    let own = format!("31474:{}:lobstah-peer", nostr(1).public_key().to_hex());
    let id = victim.id.to_hex();
    let deletion = made(&nostr(2), DELETION_KIND, "", &[("e", &id), ("a", &own)]);
    assert_eq!(roster.take_in(strangers::checked(&deletion), NOW), TakenIn::Noted);
    assert_eq!(roster.len(), 1);

    // A deletion in another's name does not even get that far.
    let mut forged = deletion;
    forged.pubkey = nostr(1).public_key();
    assert_eq!(refused(&forged), Refused::ForgedOuter);
    let nothing = made(&nostr(2), DELETION_KIND, "", &[("a", &own), ("e", "12"), ("p", &id)]);
    assert_eq!(refused(&nothing), Refused::DeletesNothing);
}

#[test]
fn an_event_is_refused_for_its_envelope_before_it_is_parsed() {
    let content = signed(1, saying(1)).to_json();
    let announce =
        |content: &str, tags: &[(&'static str, &str)]| made(&nostr(1), ANNOUNCEMENT_KIND, content, tags);
    assert_eq!(refused(&made(&nostr(1), Kind::TextNote, &content, &[])), Refused::WrongKind);
    let long = "x".repeat(limits::EVENT_CONTENT_BYTES_MAX + 1);
    assert_eq!(refused(&announce(&long, &[])), Refused::TooLarge);
    assert_eq!(refused(&announce(&content, &[("x", &long)])), Refused::TooLarge);
    let many = vec![("e", "0000000000000000000000000000000000000000000000000000000000000000"); 300];
    assert_eq!(refused(&made(&nostr(1), DELETION_KIND, "", &many)), Refused::TooLarge);
    let (past, last) = ((NOW_S - 1).to_string(), NOW_S.to_string());
    assert_eq!(refused(&announce(&content, &[("expiration", &past)])), Refused::Expired);
    assert!(read(&announce(&content, &[("expiration", &last)]), NOW, RULES).is_ok());
    assert!(read(&announce(&content, &[("expiration", "soon")]), NOW, RULES).is_ok());
    let ahead = announcement_event(&signed(1, saying(1)), &nostr(1), NOW_S + 301);
    assert_eq!(refused(&ahead), Refused::Future);
    let deletion_ahead = deletion_event(&[ahead.id], &nostr(1), u64::MAX);
    assert_eq!(refused(&deletion_ahead), Refused::Future);
    assert!(read(&announcement_event(&signed(1, saying(1)), &nostr(1), NOW_S + 300), NOW, RULES).is_ok());
}

#[test]
fn an_announcement_is_refused_for_what_it_says() {
    let content = |content: &str| refused(&made(&nostr(1), ANNOUNCEMENT_KIND, content, &[]));
    assert_eq!(content("lobster"), Refused::NotJson);
    assert_eq!(content("{}"), Refused::Malformed);
    let json = signed(1, saying(1)).to_json();
    assert_eq!(content(&json.replace(r#""version":1"#, r#""version":3"#)), Refused::UnknownVersion);
    assert_eq!(content(&json.replace(r#""version":1"#, r#""version":1,"version":1"#)), Refused::Malformed);
    assert_eq!(content(&json.replace("node 1", "node 2")), Refused::ForgedInner);

    let at = |announcement| refused(&announcement_event(&signed(1, announcement), &nostr(1), NOW_S));
    let old = protocol::Timestamp::from_millis(NOW.as_millis() - 300_001);
    assert_eq!(
        read(
            &made(
                &nostr(1),
                ANNOUNCEMENT_KIND,
                &signed(1, Announcement { announced_at: old, ..saying(1) }).to_json(),
                &[]
            ),
            NOW,
            RULES
        )
        .unwrap_err(),
        Refused::Stale
    );
    assert_eq!(at(Announcement { announced_at: seconds(301), ..saying(1) }), Refused::Future);
    for url in ["http://127.0.0.1:17474", "http://localhost", "http://192.168.0.9", "https://a.example/path"]
    {
        assert_eq!(at(saying_at(url)), Refused::BadUrl, "{url}");
    }
    let nearby = announcement_event(&signed(1, saying_at("http://192.168.0.9")), &nostr(1), NOW_S);
    assert!(read(&nearby, NOW, Rules::Dialled { allow_private: true, block_private: false }).is_ok());
    assert!(read(&nearby, NOW, Rules::Dialled { allow_private: true, block_private: true }).is_err());
}

#[test]
fn only_the_key_that_an_announcement_names_may_publish_it() {
    let bound = Announcement { nostr_pubkey: Some(nostr(1).public_key().to_bytes()), ..saying(1) };
    let bound = signed(1, bound);
    assert!(read(&announcement_event(&bound, &nostr(1), NOW_S), NOW, RULES).is_ok());
    assert_eq!(refused(&announcement_event(&bound, &nostr(2), NOW_S)), Refused::WrongKey);
    // One that names none anybody may pass on.
    assert!(read(&announcement_event(&signed(1, saying(1)), &nostr(2), NOW_S), NOW, RULES).is_ok());
}

#[test]
fn an_envelope_that_was_touched_is_refused() {
    let genuine = event(1);
    let mut events = vec![genuine.clone(); 4];
    events[0].created_at = Seconds::from_secs(NOW_S - 1);
    events[1].pubkey = nostr(2).public_key();
    events[2].id = event(2).id;
    events[3].sig = event(2).sig;
    for event in &events {
        assert_eq!(refused(event), Refused::ForgedOuter);
    }
    // Whoever claims the id of a genuine event does not make it known.
    let mut roster = Roster::<()>::new(Limits::default(), 1);
    assert!(!roster.knows(&genuine.id));
    roster.take_in(strangers::checked(&genuine), NOW);
    assert!(roster.knows(&genuine.id));
}

#[test]
fn a_tracker_lists_any_url_and_whoever_dials_takes_only_some() {
    let local =
        || Signed::parse(signed(1, saying_at("http://127.0.0.1:17474/x")).to_json().as_bytes()).unwrap();
    assert!(from_tracker(local(), NOW, Rules::Listed).is_ok());
    assert_eq!(from_tracker(local(), NOW, RULES).unwrap_err(), Refused::BadUrl);
    let long = "m".repeat(200);
    let models = (0..200).map(|n| strangers::model(&format!("{long}{n}"))).collect();
    let long = signed(1, Announcement { models: Some(models), ..saying(1) });
    assert_eq!(from_tracker(long.signed().clone(), NOW, Rules::Listed).unwrap_err(), Refused::TooLarge);
}

#[test]
fn every_reason_has_a_label_of_its_own() {
    let mut labels = [
        Refused::WrongKind,
        Refused::TooLarge,
        Refused::Expired,
        Refused::Future,
        Refused::DeletesNothing,
        Refused::NotJson,
        Refused::Malformed,
        Refused::UnknownVersion,
        Refused::Stale,
        Refused::BadUrl,
        Refused::WrongKey,
        Refused::ForgedInner,
        Refused::ForgedOuter,
    ]
    .map(Refused::label);
    labels.sort_unstable();
    assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
}

proptest::proptest! {
    #[test]
    fn rubbish_in_an_event_is_refused_and_never_panics(
        content in ".{0,200}", tags in proptest::collection::vec(proptest::collection::vec(".{0,9}", 1..4), 0..6), deletion: bool
    ) {
        let mut event = event(1);
        event.kind = if deletion { DELETION_KIND } else { ANNOUNCEMENT_KIND };
        event.content = content;
        event.tags = nostr_sdk::Tags::parse(tags).unwrap();
        proptest::prop_assert!(read(&event, NOW, RULES).is_err());
    }
}
