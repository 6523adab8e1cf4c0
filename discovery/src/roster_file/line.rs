//! One line of the file.

use crate::event::Publication;
use nostr_sdk::{EventId, PublicKey};
use protocol::{Announcement, NodeId, Signed, Timestamp};
use serde::{Deserialize, Serialize};

/// A line in its form: nothing of it is checked yet.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) signed: Signed<Announcement>,
    pub(super) publication: Option<Publication>,
    pub(super) proven: bool,
}

/// What stands beside the signed announcement.
#[derive(Serialize, Deserialize)]
struct Beside {
    source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nostr: Option<Nostr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    proven: bool,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Nostr,
    Tracker,
}

/// A publication; times in Unix seconds, as in the event.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nostr {
    author: PublicKey,
    id: EventId,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl Line {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let signed = Signed::parse(text).ok()?;
        let beside: Beside = serde_json::from_slice(text).ok()?;
        if (beside.source == Source::Nostr) != beside.nostr.is_some() {
            return None;
        }
        let publication = beside.nostr.map(|nostr| Publication {
            author: nostr.author,
            event: nostr.id,
            created_at: nostr.created_at,
            expires_at: nostr.expires_at,
        });
        Some(Self { signed, publication, proven: beside.proven })
    }

    pub(super) fn node(&self) -> NodeId {
        self.signed.unverified().node
    }

    pub(super) fn announced_at(&self) -> Timestamp {
        self.signed.unverified().announced_at
    }

    pub(super) fn lives_until(&self) -> Timestamp {
        let end = self.signed.unverified().lives_until();
        self.publication.and_then(|publication| publication.lives_until()).map_or(end, |until| until.min(end))
    }
}

/// A line with its end. `signed_json` is an object that is not empty.
pub(super) fn to_text(signed_json: &str, publication: Option<&Publication>, proven: bool) -> String {
    let nostr = publication.map(|publication| Nostr {
        author: publication.author,
        id: publication.event,
        created_at: publication.created_at,
        expires_at: publication.expires_at,
    });
    let source = if nostr.is_some() { Source::Nostr } else { Source::Tracker };
    let beside = serde_json::to_string(&Beside { source, nostr, proven }).unwrap_or_default();
    let open = signed_json.strip_suffix('}').unwrap_or(signed_json);
    let rest = beside.strip_prefix('{').unwrap_or(&beside);
    format!("{open},{rest}\n")
}
