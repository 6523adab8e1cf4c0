//! Relays that lie, send rubbish or flood do no harm beside one that does not.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use nostr_sdk::{EventBuilder, Keys, Kind, Tag, Timestamp};
use stories::{
    Lab, MeetingPlace, Node, Setup, ask,
    engine::MODEL,
    eventually,
    rogue_relay::{RogueRelay, announced, forged, frame},
    rogue_worker::new_key,
    strangers::{Announced, Meeting, gateway_at, knows, strangers},
};
use tokio_tungstenite::tungstenite::Message;

/// What came of everything that was heard.
async fn heard(gateway: &Node, result: &str) -> u64 {
    gateway.metric(&format!("lobstah_announcements_total{{result=\"{result}\"}}")).await
}

async fn is_counted(gateway: &Node, result: &str) {
    eventually(result, async || (heard(gateway, result).await > 0).then_some(())).await;
}

#[tokio::test]
async fn forgeries_and_rubbish_are_refused_and_counted() {
    let Some(lab) = Lab::start() else { return };
    let (victim, other) = (new_key(), new_key());
    let (keys, host) = (Keys::generate(), lab.host("rogue"));
    let url = format!("http://{}:17474", lab.host("victim").address());
    let good = announced(&victim, &url, MODEL, &keys);
    let inside = announced(&other, &url, MODEL, &keys);
    // Another's signature under the victim's name, in an envelope that is in order.
    let text = inside.content.replace(&other.node_id().to_string(), &victim.node_id().to_string());
    let topic = [Tag::identifier("lobstah-peer"), Tag::hashtag("lobstah")];
    let forged_inner =
        EventBuilder::new(Kind::Custom(31474), text).tags(topic.clone()).sign_with_keys(&keys).unwrap();
    let not_json =
        EventBuilder::new(Kind::Custom(31474), "lobster").tags(topic.clone()).sign_with_keys(&keys).unwrap();
    let future = EventBuilder::new(Kind::Custom(31474), good.content.clone())
        .custom_created_at(Timestamp::now() + 3600u64)
        .tags(topic)
        .sign_with_keys(&keys)
        .unwrap();
    let loopback = announced(&new_key(), "http://[::ffff:127.0.0.1]:17474", MODEL, &keys);
    let metadata = announced(&new_key(), "http://169.254.169.254", MODEL, &keys);
    let relay = RogueRelay::start(
        &host,
        vec![
            Message::text("[\"EOSE\",\"$SUB\"]"),
            Message::text("not even json"),
            Message::text("x".repeat(100_000)),
            Message::binary(vec![0; 10]),
            forged(&good, "http://203", "http://204"),
            forged(&good, &good.sig.to_string()[..8], "00000000"),
            frame(&forged_inner),
            frame(&not_json),
            frame(&future),
            frame(&loopback),
            frame(&metadata),
            Message::text("[\"CLOSED\",\"$SUB\",\"error: go away\"]"),
            Message::text("[\"NOTICE\",\"hello\"]"),
        ],
    );
    let honest = MeetingPlace::relay(&lab.host("honest")).await;
    let both = Meeting::relays(&[relay.url(), honest.url()]);
    let (_, gateway) = gateway_at(&lab, &both, |setup| setup).await;
    for result in ["forged_outer", "forged_inner", "not_json", "future", "bad_url", "garbage"] {
        is_counted(&gateway, result).await;
    }
    assert!(strangers(&gateway).await.is_empty());
    let worker = Announced::start(&lab, "worker", &Meeting::relays(&[honest.url()]), |setup| setup).await;
    knows(&gateway, &worker).await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
}

#[tokio::test]
async fn another_key_neither_replaces_nor_deletes_an_announcement() {
    let Some(lab) = Lab::start() else { return };
    let honest = MeetingPlace::relay(&lab.host("honest")).await;
    let worker =
        Announced::start(&lab, "worker", &Meeting::relays(&[honest.url()]), |setup: Setup| setup).await;
    let host = lab.host("gateway");
    let first =
        Meeting::relays(&[honest.url()]).of(Node::gateway().on(&host)).set("discovery.subscribe", "true");
    let gateway = first.route("to = [\"network\"]").start().await;
    knows(&gateway, &worker).await;

    // The thief has seen the announcement, publishes it as his own, deletes it, and replaces it by another.
    let thief = Keys::generate();
    let theirs = announced(&new_key(), "http://203.0.113.200:17474", MODEL, &thief);
    let deletion = EventBuilder::new(Kind::EventDeletion, "gone")
        .tags([
            Tag::parse(["a", &format!("31474:{}:lobstah-peer", thief.public_key())]).unwrap(),
            Tag::parse(["k", "31474"]).unwrap(),
            Tag::event(theirs.id),
        ])
        .sign_with_keys(&thief)
        .unwrap();
    let named_for_another = EventBuilder::new(Kind::Custom(31474), theirs.content.clone())
        .tags([
            Tag::identifier("lobstah-peer"),
            Tag::hashtag("lobstah"),
            Tag::parse(["lobstah_pubkey", &worker.id()]).unwrap(),
        ])
        .sign_with_keys(&thief)
        .unwrap();
    let relay = RogueRelay::start(
        &lab.host("rogue"),
        vec![
            frame(&theirs),
            frame(&named_for_another),
            frame(&deletion),
            Message::text("[\"EOSE\",\"$SUB\"]"),
        ],
    );
    let text = std::fs::read_to_string(gateway.home().file("lobstah.toml")).unwrap();
    let both = format!("relays = [\"{}\", \"{}\"]", honest.url(), relay.url());
    let changed = text.replace(&format!("relays = [\"{}\"]", honest.url()), &both);
    assert_ne!(changed, text);
    gateway.home().write("lobstah.toml", &changed);
    gateway.process.signal("HUP");
    is_counted(&gateway, "withdrawn").await;
    assert_eq!(strangers(&gateway).await, [worker.id()]);
    assert_eq!(gateway.answer(&ask(MODEL, "still there?")).await.status, 200);
}

#[tokio::test]
async fn a_flood_from_one_relay_hides_nobody_on_another() {
    let Some(lab) = Lab::start() else { return };
    let keys = Keys::generate();
    let event = announced(&new_key(), "http://203.0.113.200:17474", "flood:1b", &keys);
    // The same event again and again, and as often with a broken signature: each costs a look at most.
    let mut frames = vec![frame(&event); 15_000];
    frames.extend(vec![forged(&event, &event.sig.to_string()[..8], "00000000"); 15_000]);
    let relay = RogueRelay::start(&lab.host("rogue"), frames);
    let honest = MeetingPlace::relay(&lab.host("honest")).await;
    let both = Meeting::relays(&[relay.url(), honest.url()]);
    let (_, gateway) = gateway_at(&lab, &both, |setup| setup).await;
    let worker = Announced::start(&lab, "worker", &Meeting::relays(&[honest.url()]), |setup| setup).await;
    knows(&gateway, &worker).await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    is_counted(&gateway, "new").await;
    assert!(gateway.process.resident_bytes() < 150 * 1024 * 1024, "{}", gateway.process.resident_bytes());
}
