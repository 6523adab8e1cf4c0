//! Which events the relay of a closed group takes: Lobstah's, of sane size and date.

use super::store::Store;
use crate::{
    event::{ANNOUNCEMENT_KIND, DELETION_KIND},
    public_receipts::RECEIPT_KIND,
};
use nostr_relay_builder::builder::{PolicyResult, WritePolicy};
use nostr_sdk::{Event, util::BoxedFuture};
use protocol::{
    Timestamp,
    limits::{EVENT_CONTENT_BYTES_MAX, EVENT_TAG_BYTES_MAX},
};
use std::{net::SocketAddr, sync::Arc};

/// Public relays have the same: an event from further ahead comes from a wrong clock.
const AHEAD_SECONDS_MAX: u64 = 15 * 60;

/// Asked by `LocalRelay` about every event whose signature is good.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: fn() -> Timestamp,
}

impl WritePolicy for Rules {
    fn admit_event<'a>(&'a self, event: &'a Event, _from: &'a SocketAddr) -> BoxedFuture<'a, PolicyResult> {
        let refused = refused(event, (self.clock)()).or_else(|| self.store.would_refuse(event));
        Box::pin(
            async move { refused.map_or(PolicyResult::Accept, |why| PolicyResult::Reject(why.to_owned())) },
        )
    }
}

/// Why an event is not taken, whatever is kept already.
fn refused(event: &Event, now: Timestamp) -> Option<&'static str> {
    let tag_bytes: usize = event.tags.iter().flat_map(|tag| tag.as_slice()).map(String::len).sum();
    let ahead = event.created_at.as_secs().saturating_sub(now.as_millis() / 1000);
    match event.kind {
        ref kind if ![ANNOUNCEMENT_KIND, DELETION_KIND, RECEIPT_KIND].contains(kind) => {
            Some("this relay takes Lobstah's kinds only: 31474, 1474 and 5")
        }
        _ if event.content.len() > EVENT_CONTENT_BYTES_MAX || tag_bytes > EVENT_TAG_BYTES_MAX => {
            Some("the event is too long")
        }
        _ if ahead > AHEAD_SECONDS_MAX => Some("created_at is more than 15 minutes ahead: set your clock"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr_sdk::Kind;
    use nostr_sdk::{EventBuilder, Keys};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn judged(kind: Kind, content: &str, created_at: u64) -> Option<&'static str> {
        let event = EventBuilder::new(kind, content).custom_created_at(created_at.into());
        refused(&event.sign_with_keys(&Keys::generate()).unwrap(), NOW)
    }

    #[test]
    fn only_lobstahs_events_are_taken_and_none_from_the_future() {
        for kind in [ANNOUNCEMENT_KIND, RECEIPT_KIND, DELETION_KIND] {
            assert_eq!(judged(kind, "", 1_790_000_000), None);
            assert!(judged(kind, "", 1_790_000_901).unwrap().contains("clock"));
            assert!(judged(kind, &"x".repeat(EVENT_CONTENT_BYTES_MAX + 1), 1_790_000_000).is_some());
        }
        assert!(judged(Kind::TextNote, "hello", 1_790_000_000).unwrap().contains("31474"));
    }
}
