//! Who takes in what relays send.

use crate::event::{ANNOUNCEMENT_KIND, DELETION_KIND};
use nostr_sdk::{Event, EventId, Kind};
use std::fmt;
use url::Url;

/// Takes events right where their frames arrive.
///
/// Called from the task that reads the connection: a call should take microseconds (two signature
/// checks are fine) and never wait. Relays are read at the same time, so calls overlap.
pub trait Ear: fmt::Debug + Send + Sync + 'static {
    /// Whether it asked for events of this kind: announcements and deletions, unless it says otherwise.
    fn wants(&self, kind: Kind) -> bool {
        kind == ANNOUNCEMENT_KIND || kind == DELETION_KIND
    }

    /// Whether an event of this id was heard before and is not worth another look. The id is what
    /// the relay claims: say yes only for ids of events whose signatures were good.
    fn knows(&self, id: &EventId) -> bool;

    /// An event of a kind that is wanted. Nothing is checked yet: neither id, nor
    /// signature, nor whether `relay` was asked for it.
    fn hear(&self, relay: &Url, event: Event);

    /// Something that no relay should send. One call each, so do not log them one by one.
    fn garbage(&self, relay: &Url, garbage: Garbage);
}

/// What was dropped unread, or read in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garbage {
    /// Longer than [`super::FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Longer than what the WebSocket layer takes in; the connection ended.
    #[error("a message too long to read")]
    Endless,
    /// A binary frame: Nostr has none.
    #[error("a binary frame")]
    Binary,
    /// Not a message of NIP-01.
    #[error("not a Nostr message")]
    Malformed,
    /// An event of a kind that we never ask for.
    #[error("an event of kind {kind}, which was not asked for")]
    Unasked {
        /// Its kind.
        kind: u16,
    },
}

/// Hears nothing: for who only publishes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeafEar;

impl Ear for DeafEar {
    fn knows(&self, _id: &EventId) -> bool {
        true
    }

    fn hear(&self, _relay: &Url, _event: Event) {}

    fn garbage(&self, _relay: &Url, _garbage: Garbage) {}
}
