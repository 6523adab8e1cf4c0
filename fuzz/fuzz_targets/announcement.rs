//! Announcements and deletions of strangers: in Nostr events, as trackers list them, and in the roster.
#![no_main]

use discovery::{
    Checked, Roster, Rules, TakenIn,
    event::{Announced, from_tracker, read},
    roster::Limits,
};
use fuzz::{ME, NOW, comes_back, signed_anew};
use libfuzzer_sys::fuzz_target;
use nostr_sdk::{Event, EventId, Keys, Kind, Tags, Timestamp as Seconds, nostr::secp256k1::Message};
use protocol::{Announcement, Liveness, Signed, Verified};
use serde_json::Value;
use std::{net::IpAddr, sync::LazyLock};
use url::Host;

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::parse(&"07".repeat(32)).expect("a secret key"));

const RULES: Rules = Rules::Dialled { allow_private: false, block_private: true };

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = serde_json::from_slice::<Event>(data) {
        let _ = read(&event, NOW, RULES);
    }
    if let Ok(signed) = Signed::<Announcement>::parse(data) {
        comes_back(&signed);
        let _ = from_tracker(signed, NOW, RULES);
    }
    if let Some(ours) = signed_anew::<Announcement>(data, "pubkey") {
        announced_to_a_tracker(&ours);
    }
    if let Some(event) = serde_json::from_slice(data).ok().as_ref().and_then(event_of_ours) {
        published(&event);
    }
});

fn announced_to_a_tracker(ours: &Verified<Announcement>) {
    for rules in [Rules::Listed, RULES] {
        if let Ok(Checked::Announced(announced)) = from_tracker(ours.signed().clone(), NOW, rules) {
            assert_eq!(announced.announcement(), &**ours);
            holds(&announced, rules);
            is_kept_as_it_was_signed(&announced, ours);
        }
    }
}

/// The event with our author, id and signature; and, where its content is a statement, our own.
fn event_of_ours(event: &Value) -> Option<Event> {
    let content = event.get("content")?.as_str()?;
    let content = signed_anew::<Announcement>(content.as_bytes(), "pubkey")
        .map_or_else(|| content.to_owned(), |ours| ours.to_json());
    let kind: Kind = serde_json::from_value(event.get("kind")?.clone()).ok()?;
    let tags: Tags = serde_json::from_value(event.get("tags")?.clone()).ok()?;
    let created_at = Seconds::from_secs(event.get("created_at")?.as_u64()?);
    let id = EventId::new(&KEYS.public_key(), &created_at, &kind, &tags, &content);
    let signature = KEYS.sign_schnorr(&Message::from_digest(id.to_bytes()));
    Some(Event::new(id, KEYS.public_key(), created_at, kind, tags, content, signature))
}

fn published(event: &Event) {
    let Ok(checked) = read(event, NOW, RULES) else { return };
    match &checked {
        Checked::Announced(announced) => {
            holds(announced, RULES);
            let only = announced.announcement().nostr_pubkey;
            assert!(only.is_none_or(|only| only == event.pubkey.to_bytes()));
            let ours = Signed::<Announcement>::parse(event.content.as_bytes()).and_then(Signed::verify);
            is_kept_as_it_was_signed(announced, &ours.expect("it was checked"));
        }
        Checked::Deleted(deleted) => assert_eq!(deleted.author(), event.pubkey),
        Checked::Withdrawn(_) => panic!("that is said to trackers"),
    }
    let mut roster: Roster<()> = Roster::new(Limits::default(), 1);
    roster.take_in(checked, NOW);
}

/// What may be acted on: ours, live, and an address that strangers may have.
fn holds(announced: &Announced, rules: Rules) {
    let announcement = announced.announcement();
    assert_eq!((announcement.node, announcement.liveness(NOW)), (*ME, Liveness::Live));
    if rules == Rules::Listed {
        return;
    }
    let url = &announcement.url;
    assert_eq!((url.username(), url.password(), url.path(), url.query()), ("", None, "/", None));
    let ip: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip).to_canonical()),
        Some(Host::Domain(name)) => {
            assert_ne!(name.trim_end_matches('.').rsplit('.').next(), Some("localhost"));
            None
        }
        None => panic!("a URL without a host"),
    };
    let private = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    assert!(!ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified() || private(&ip)), "{url}");
}

/// The roster packs what was signed, and gives back every byte of it.
fn is_kept_as_it_was_signed(announced: &Announced, ours: &Verified<Announcement>) {
    let mut roster: Roster<()> = Roster::new(Limits::default(), 1);
    let taken = roster.take_in(Checked::Announced(Box::new(announced.clone())), NOW);
    // An event may end before what it announces does; then nobody was ever there.
    let Some(entry) = roster.get(&ours.node, NOW) else { return assert_ne!(taken, TakenIn::New) };
    assert_eq!(entry.signed_json(), ours.to_json());
}
