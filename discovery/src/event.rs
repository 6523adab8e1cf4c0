//! An announcement as a Nostr event, and back (SPEC section 5; NIP-01, NIP-09, NIP-40).
//!
//! This file writes events, `read` checks those of others, `checked` is what may be acted on.
//! Nothing here knows a relay.

mod checked;
mod read;
mod stranger_url;

pub use checked::{Announced, Checked, Deleted, Publication};
pub use read::{Refused, Rules, from_tracker, read};

pub(crate) use read::from_file;

use nostr_sdk::{Event, EventId, Keys, Kind, Tag, TagKind, Timestamp as Seconds, nostr::secp256k1::Message};
use protocol::{Announcement, Verified};

/// An announcement: addressable, so that a relay keeps the newest of each key.
pub const ANNOUNCEMENT_KIND: Kind = Kind::Custom(31474);
/// A wish that events be forgotten (NIP-09).
pub const DELETION_KIND: Kind = Kind::EventDeletion;
/// The `d` tag of every announcement.
pub const IDENTIFIER: &str = "lobstah-peer";
/// The `t` tag of every announcement: what to subscribe to.
pub const TOPIC: &str = "lobstah";
/// The tag that names the node.
pub const NODE_TAG: &str = "lobstah_pubkey";

/// Puts an announcement into an event that `keys` publish. `created_at` is in Unix seconds; of two
/// events of one key relays keep the later. It expires with the announcement.
pub fn announcement_event(announcement: &Verified<Announcement>, keys: &Keys, created_at: u64) -> Event {
    let expires_at = announcement.lives_until().as_millis().div_ceil(1000);
    let tags = vec![
        tag("d", IDENTIFIER),
        tag("t", TOPIC),
        tag(NODE_TAG, announcement.node.to_string()),
        tag("expiration", expires_at.to_string()),
    ];
    signed(keys, created_at, ANNOUNCEMENT_KIND, tags, announcement.to_json())
}

/// Asks relays and readers to forget `events`, and whatever else these keys announced until
/// `created_at` (Unix seconds).
pub fn deletion_event(events: &[EventId], keys: &Keys, created_at: u64) -> Event {
    let kind = ANNOUNCEMENT_KIND.as_u16();
    let mut tags: Vec<_> = events.iter().map(|id| tag("e", id.to_hex())).collect();
    tags.push(tag("a", format!("{kind}:{}:{IDENTIFIER}", keys.public_key().to_hex())));
    tags.push(tag("k", kind.to_string()));
    signed(keys, created_at, DELETION_KIND, tags, "lobstah unannounce".to_owned())
}

pub(crate) fn tag(name: &str, value: impl Into<String>) -> Tag {
    Tag::custom(TagKind::from(name), [value])
}

pub(crate) fn signed(keys: &Keys, created_at: u64, kind: Kind, tags: Vec<Tag>, content: String) -> Event {
    let (author, created_at, tags) =
        (keys.public_key(), Seconds::from_secs(created_at), nostr_sdk::Tags::from_list(tags));
    let id = EventId::new(&author, &created_at, &kind, &tags, &content);
    let signature = keys.sign_schnorr(&Message::from_digest(id.to_bytes()));
    Event::new(id, author, created_at, kind, tags, content, signature)
}
