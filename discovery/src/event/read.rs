//! Events of others: cheapest check first, the two signatures last.
//!
//! A relay can send anything, and a stranger can sign anything. What passes is true of whoever said
//! it, and no more than that.

use super::{ANNOUNCEMENT_KIND, Announced, Checked, DELETION_KIND, Deleted, Publication, stranger_url};
use nostr_sdk::{Event, EventId};
use protocol::{
    Announcement, Liveness, Rejected, Signed, Timestamp, Verified,
    limits::{CLOCK_SKEW_MS, EVENT_CONTENT_BYTES_MAX, EVENT_TAG_BYTES_MAX},
};

/// What an announced URL is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// To be shown to others, as a tracker does: any URL. Who dials it checks it.
    Listed,
    /// To be dialled (SPEC section 10).
    Dialled {
        /// `discovery.allow_private`
        allow_private: bool,
        /// `LOBSTAH_BLOCK_PRIVATE_ADDRS=1`
        block_private: bool,
    },
}

/// Why something is not taken in. In the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// Neither an announcement nor a deletion.
    #[error("an event of a kind that nobody asked for")]
    WrongKind,
    /// More content or tags than is read.
    #[error("too long to be read")]
    TooLarge,
    /// Its own expiration has passed (NIP-40).
    #[error("expired")]
    Expired,
    /// The event or the announcement is from more than five minutes ahead.
    #[error("from the future; one of two clocks is wrong")]
    Future,
    /// A deletion of nothing that could be an announcement of its author.
    #[error("a deletion of nothing of ours")]
    DeletesNothing,
    /// The content is not JSON.
    #[error("not json")]
    NotJson,
    /// JSON, and no announcement.
    #[error("no announcement, or one of the wrong form")]
    Malformed,
    /// An announcement of a version that this program does not know.
    #[error("an announcement of an unknown version")]
    UnknownVersion,
    /// Older than its time to live.
    #[error("older than its time to live")]
    Stale,
    /// A URL that no stranger may name.
    #[error("a url that no stranger may name")]
    BadUrl,
    /// The announcement names another Nostr key than the event's author.
    #[error("published by a key that may not publish it")]
    WrongKey,
    /// The announcement's signature is not the node's.
    #[error("the announcement is not signed by its node")]
    ForgedInner,
    /// The event's id or signature is not its author's.
    #[error("the event is not signed by its author")]
    ForgedOuter,
}

impl Refused {
    /// For metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Refused::WrongKind => "wrong_kind",
            Refused::TooLarge => "too_large",
            Refused::Expired => "expired",
            Refused::Future => "future",
            Refused::DeletesNothing => "deletes_nothing",
            Refused::NotJson => "not_json",
            Refused::Malformed => "malformed",
            Refused::UnknownVersion => "unknown_version",
            Refused::Stale => "stale",
            Refused::BadUrl => "bad_url",
            Refused::WrongKey => "wrong_key",
            Refused::ForgedInner => "forged_inner",
            Refused::ForgedOuter => "forged_outer",
        }
    }
}

/// Checks an event that a relay sent: an announcement or a deletion.
pub fn read(event: &Event, now: Timestamp, rules: Rules) -> Result<Checked, Refused> {
    let is_deletion = event.kind == DELETION_KIND;
    if !is_deletion && event.kind != ANNOUNCEMENT_KIND {
        return Err(Refused::WrongKind);
    }
    if event.content.len() > EVENT_CONTENT_BYTES_MAX || tag_bytes(event) > EVENT_TAG_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    if expiration(event).is_some_and(|second| now.as_millis() / 1000 > second) {
        return Err(Refused::Expired);
    }
    let created_at = Timestamp::from_millis(event.created_at.as_secs().saturating_mul(1000));
    if created_at.millis_since(now) > CLOCK_SKEW_MS {
        return Err(Refused::Future);
    }
    if is_deletion { deletion(event) } else { announcement(event, now, rules) }
}

/// Checks an announcement that a tracker lists, or that came to a tracker. There is no envelope.
pub fn from_tracker(signed: Signed<Announcement>, now: Timestamp, rules: Rules) -> Result<Checked, Refused> {
    if signed.canonical().as_bytes().len() > EVENT_CONTENT_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let verified = inner(signed, now, rules)?;
    Ok(announced(&verified, None))
}

/// Checks an announcement that was kept in a file. The envelope it came in was checked then.
pub(crate) fn from_file(
    signed: Signed<Announcement>,
    publication: Option<Publication>,
    now: Timestamp,
    rules: Rules,
) -> Result<Checked, Refused> {
    if publication.and_then(|publication| publication.lives_until()).is_some_and(|until| until < now) {
        return Err(Refused::Expired);
    }
    let verified = inner(signed, now, rules)?;
    Ok(announced(&verified, publication))
}

fn announced(verified: &Verified<Announcement>, publication: Option<Publication>) -> Checked {
    Checked::Announced(Box::new(Announced::new(verified, publication)))
}

fn announcement(event: &Event, now: Timestamp, rules: Rules) -> Result<Checked, Refused> {
    let signed = Signed::<Announcement>::parse(event.content.as_bytes());
    let signed = signed.map_err(|rejected| no_announcement(&rejected, &event.content))?;
    if signed.unverified().nostr_pubkey.is_some_and(|only| only != event.pubkey.to_bytes()) {
        return Err(Refused::WrongKey);
    }
    let verified = inner(signed, now, rules)?;
    event.verify().map_err(|_| Refused::ForgedOuter)?;
    let publication = Publication {
        author: event.pubkey,
        event: event.id,
        created_at: event.created_at.as_secs(),
        expires_at: expiration(event),
    };
    Ok(announced(&verified, Some(publication)))
}

/// What holds for an announcement wherever it came from.
fn inner(
    signed: Signed<Announcement>,
    now: Timestamp,
    rules: Rules,
) -> Result<Verified<Announcement>, Refused> {
    match signed.unverified().liveness(now) {
        Liveness::Live => {}
        Liveness::Stale => return Err(Refused::Stale),
        Liveness::Future => return Err(Refused::Future),
    }
    if !stranger_url::is_taken(&signed.unverified().url, rules) {
        return Err(Refused::BadUrl);
    }
    signed.verify().map_err(|_| Refused::ForgedInner)
}

fn no_announcement(rejected: &Rejected, content: &str) -> Refused {
    match rejected {
        Rejected::UnsupportedVersion => Refused::UnknownVersion,
        Rejected::BadSignature => Refused::ForgedInner,
        Rejected::Malformed(_) if serde_json::from_str::<serde::de::IgnoredAny>(content).is_err() => {
            Refused::NotJson
        }
        Rejected::Malformed(_) => Refused::Malformed,
    }
}

fn deletion(event: &Event) -> Result<Checked, Refused> {
    let events: Vec<_> = tags(event, "e").filter_map(|id| EventId::from_hex(id).ok()).collect();
    // With whatever `d` tag: only the author's own announcements can be meant.
    let own = format!("{}:{}:", ANNOUNCEMENT_KIND.as_u16(), event.pubkey.to_hex());
    let up_to = tags(event, "a").any(|address| address.starts_with(&own)).then(|| event.created_at.as_secs());
    if events.is_empty() && up_to.is_none() {
        return Err(Refused::DeletesNothing);
    }
    event.verify().map_err(|_| Refused::ForgedOuter)?;
    Ok(Checked::Deleted(Deleted { author: event.pubkey, events, up_to }))
}

/// The values of the tags of this name.
fn tags<'e>(event: &'e Event, name: &'static str) -> impl Iterator<Item = &'e str> {
    event.tags.iter().filter_map(move |tag| match tag.as_slice() {
        [first, value, ..] if first == name => Some(value.as_str()),
        _ => None,
    })
}

/// As JSON has them: each text in quotes, with a comma.
fn tag_bytes(event: &Event) -> usize {
    event.tags.iter().flat_map(|tag| tag.as_slice()).map(|text| text.len() + 3).sum()
}

/// The first tag `expiration` that holds a number (NIP-40).
fn expiration(event: &Event) -> Option<u64> {
    tags(event, "expiration").find_map(|second| second.parse().ok())
}
