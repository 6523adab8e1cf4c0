//! What was checked, so that it may be acted on.

use nostr_sdk::{EventId, PublicKey};
use protocol::{Announcement, NodeId, Timestamp, Verified, Withdrawal};

/// Something that a stranger said and that is true of it: every signature and rule was checked.
///
/// **Invariant:** [`super::read`], [`super::from_tracker`] and a file that was checked anew make
/// these, and nothing else: the parts have no public constructor.
#[derive(Clone, Debug)]
pub enum Checked {
    /// A worker announces itself.
    Announced(Box<Announced>),
    /// A Nostr key takes back what it published.
    Deleted(Deleted),
    /// A worker itself says that it leaves.
    Withdrawn(Withdrawal),
}

/// A live announcement, and who published it.
#[derive(Clone, Debug)]
pub struct Announced {
    pub(crate) announcement: Announcement,
    /// The announcement as received, in canonical form: what the signature covers.
    pub(crate) canonical: Box<str>,
    pub(crate) signature: [u8; 64],
    pub(crate) publication: Option<Publication>,
}

/// A Nostr event that publishes an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The Nostr key that signed the event.
    pub author: PublicKey,
    /// The event.
    pub event: EventId,
    /// When it says that it was made, in Unix seconds.
    pub created_at: u64,
    /// The last Unix second of its life (NIP-40); that of the announcement if `None`.
    pub expires_at: Option<u64>,
}

/// A wish to forget (NIP-09). It speaks of `author`'s own events and of no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub(crate) author: PublicKey,
    pub(crate) events: Vec<EventId>,
    pub(crate) up_to: Option<u64>,
}

impl Announced {
    pub(crate) fn new(announcement: &Verified<Announcement>, publication: Option<Publication>) -> Self {
        Self {
            announcement: Announcement::clone(announcement),
            canonical: announcement.signed().canonical().as_str().into(),
            signature: *announcement.signed().signature(),
            publication,
        }
    }

    /// What it says.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// The event that it came in; `None` if a tracker gave it.
    pub fn publication(&self) -> Option<&Publication> {
        self.publication.as_ref()
    }

    pub(crate) fn node(&self) -> NodeId {
        self.announcement.node
    }
}

impl Deleted {
    /// Whose events.
    pub fn author(&self) -> PublicKey {
        self.author
    }

    /// Events by id (tags `e`).
    pub fn events(&self) -> &[EventId] {
        &self.events
    }

    /// All its announcements made until this Unix second (tag `a`).
    pub fn up_to(&self) -> Option<u64> {
        self.up_to
    }
}

impl Publication {
    /// The last moment at which it counts, if it says one.
    pub(crate) fn lives_until(&self) -> Option<Timestamp> {
        self.expires_at.map(last_millisecond)
    }
}

/// NIP-40 counts in seconds, and its last one belongs to it.
fn last_millisecond(second: u64) -> Timestamp {
    Timestamp::from_millis(second.saturating_mul(1000).saturating_add(999))
}
