//! Who published an announcement, and whether any of it still counts.
//!
//! A key takes back what it published itself and nothing else. Of one key's events the latest counts,
//! as on relays (NIP-01): all of this depends on which events came, not on their order.

use super::limits::PUBLISHERS_MAX;
use crate::event::Publication;
use nostr_sdk::{EventId, PublicKey};
use protocol::Timestamp;
use std::cmp::Reverse;

/// The publications of one announcement.
#[derive(Debug, Default)]
pub(super) struct Published {
    by_key: Vec<Publication>,
    /// A bit for each of them that its author took back.
    deleted: u8,
    by_tracker: bool,
    /// More keys published it than are remembered: it lives as long as it says itself.
    by_more: bool,
}

const _: () = assert!(PUBLISHERS_MAX <= u8::BITS as usize);

/// What came of noting a publication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It stands beside the others.
    Added,
    /// It stands in the place of this one, an earlier one of its author.
    Instead(Publication),
    /// Its author has it or a later one here, or there is no room for more authors.
    Nothing,
}

impl Published {
    /// A tracker lists it.
    pub(super) fn note_tracker(&mut self) {
        self.by_tracker = true;
    }

    /// Notes an event; `deleted` if its author took it back before it came.
    pub(super) fn note(&mut self, publication: Publication, deleted: bool) -> Noted {
        let known = self.by_key.iter().position(|known| known.author == publication.author);
        let (at, noted) = match known {
            Some(at) if rank(&self.by_key[at]) >= rank(&publication) => return Noted::Nothing,
            Some(at) => (at, Noted::Instead(std::mem::replace(&mut self.by_key[at], publication))),
            None if self.by_key.len() < PUBLISHERS_MAX => {
                self.by_key.reserve_exact(1);
                self.by_key.push(publication);
                (self.by_key.len() - 1, Noted::Added)
            }
            None => {
                self.by_more = true;
                return Noted::Nothing;
            }
        };
        let bit = 1 << at;
        self.deleted = if deleted { self.deleted | bit } else { self.deleted & !bit };
        noted
    }

    /// Takes back what `author` published as `event`. Gives what counts no more.
    pub(super) fn delete_event(&mut self, author: &PublicKey, event: &EventId) -> Option<Publication> {
        self.delete(|publication| publication.author == *author && publication.event == *event)
    }

    /// Takes back what `author` published until `second`. Gives what counts no more.
    pub(super) fn delete_until(&mut self, author: &PublicKey, second: u64) -> Option<Publication> {
        self.delete(|publication| publication.author == *author && publication.created_at <= second)
    }

    fn delete(&mut self, is_it: impl Fn(&Publication) -> bool) -> Option<Publication> {
        let standing = |at: &usize| self.deleted & 1 << at == 0 && is_it(&self.by_key[*at]);
        let at = (0..self.by_key.len()).find(standing)?;
        self.deleted |= 1 << at;
        Some(self.by_key[at])
    }

    /// Until when it counts, if the announcement itself lives until `end`; `None` if all took it back.
    pub(super) fn lives_until(&self, end: Timestamp) -> Option<Timestamp> {
        if self.by_tracker || self.by_more {
            return Some(end);
        }
        let ends = self.standing().map(|publication| publication.lives_until().map_or(end, |at| at.min(end)));
        ends.max()
    }

    /// The publication to tell others of: what counts longest.
    pub(super) fn longest(&self) -> Option<Publication> {
        self.standing().max_by_key(|p| (p.expires_at.is_none(), p.expires_at, p.created_at)).copied()
    }

    /// Every one that is remembered, and whether its author took it back.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Publication, bool)> {
        self.by_key.iter().enumerate().map(|(at, known)| (known, self.deleted & 1 << at != 0))
    }

    fn standing(&self) -> impl Iterator<Item = &Publication> {
        self.all().filter(|(_, deleted)| !deleted).map(|(publication, _)| publication)
    }
}

/// Of two addressable events of a key the later counts, of two in one second the one with the lower id.
fn rank(publication: &Publication) -> (u64, Reverse<EventId>) {
    (publication.created_at, Reverse(publication.event))
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Timestamp = Timestamp::from_millis(1_000_000);

    fn by(author: u8, event: u8, created_at: u64, expires_at: Option<u64>) -> Publication {
        Publication {
            author: PublicKey::from_byte_array([author; 32]),
            event: EventId::from_byte_array([event; 32]),
            created_at,
            expires_at,
        }
    }

    #[test]
    fn it_counts_as_long_as_one_publication_does() {
        let mut published = Published::default();
        assert_eq!(published.lives_until(END), None);
        published.note(by(1, 1, 10, Some(20)), false);
        published.note(by(2, 2, 10, Some(30)), false);
        assert_eq!(published.lives_until(END), Some(Timestamp::from_millis(30_999)));
        assert!(published.delete_event(&by(2, 2, 0, None).author, &by(2, 2, 0, None).event).is_some());
        assert_eq!(published.lives_until(END), Some(Timestamp::from_millis(20_999)));
        published.note_tracker();
        assert_eq!(published.lives_until(END), Some(END));
    }

    #[test]
    fn a_key_deletes_its_own_and_no_earlier_event_of_it_comes_back() {
        let mut published = Published::default();
        let (first, second) = (by(1, 1, 10, None), by(1, 2, 20, None));
        published.note(second, false);
        let other = by(2, 0, 0, None).author;
        assert_eq!(published.delete_event(&other, &second.event), None);
        assert_eq!(published.delete_until(&other, 99), None);
        assert_eq!(published.delete_event(&second.author, &first.event), None);
        assert_eq!(published.lives_until(END), Some(END));
        assert_eq!(published.delete_until(&second.author, 20), Some(second));
        assert_eq!(published.note(first, false), Noted::Nothing);
        assert_eq!(published.lives_until(END), None);
    }

    #[test]
    fn what_more_keys_published_than_are_remembered_ends_with_the_announcement() {
        let mut published = Published::default();
        let keys = 0..=u8::try_from(PUBLISHERS_MAX).unwrap();
        for key in keys.clone() {
            published.note(by(key, key, 10, Some(20)), false);
        }
        for key in keys {
            published.delete_until(&by(key, 0, 0, None).author, 99);
        }
        assert_eq!((published.lives_until(END), published.all().count()), (Some(END), PUBLISHERS_MAX));
    }
}
