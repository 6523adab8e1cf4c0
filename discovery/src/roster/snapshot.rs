//! What others may read of a roster at once: a tracker's list, and the file.

use super::{Entry, Roster, slot::Slot};
use crate::event::Publication;
use protocol::{NodeId, Timestamp};
use std::{cmp::Reverse, sync::Arc};

/// A live worker with what a file keeps of it.
#[derive(Debug)]
pub struct Kept<A> {
    /// The worker; [`Entry::signed_json`] is what it signed.
    pub entry: Arc<Entry<A>>,
    /// The event that published it and counts longest, if one did.
    pub publication: Option<Publication>,
    /// It served us.
    pub proven: bool,
}

/// What a roster knows at a moment.
#[derive(Debug)]
pub struct Snapshot<A> {
    /// Live workers: those that served us first, then the newest.
    pub kept: Vec<Kept<A>>,
    /// Nodes that are gone, and the time of the announcement that went: whoever knows it, or an older
    /// one, can forget it.
    pub gone: Vec<(NodeId, Timestamp)>,
}

impl<A> Roster<A> {
    /// At most `most` live workers, the newest announcements first.
    pub fn newest(&self, most: usize, now: Timestamp) -> Vec<Arc<Entry<A>>> {
        let mut live: Vec<_> =
            self.live(now).filter_map(|slot| Some((Reverse(slot.announced_at()), slot.entry()?))).collect();
        first(&mut live, most, |(announced_at, entry)| (*announced_at, entry.node));
        live.into_iter().map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// What a file should keep: at most `most` live workers, and all that are gone.
    pub fn snapshot(&self, most: usize, now: Timestamp) -> Snapshot<A> {
        let mut live: Vec<_> = self.live(now).collect();
        first(&mut live, most, |slot| (!slot.proven, Reverse(slot.announced_at()), *slot.node()));
        let kept = |slot: &Slot<A>| {
            let (entry, publication) = (Arc::clone(slot.entry()?), slot.published.longest());
            Some(Kept { entry, publication, proven: slot.proven })
        };
        let gone = self.store.slots().filter(|slot| !slot.is_live(now));
        Snapshot {
            kept: live.into_iter().filter_map(kept).collect(),
            gone: gone.map(|slot| (*slot.node(), slot.announced_at())).collect(),
        }
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Slot<A>> {
        self.store.slots().filter(move |slot| slot.entry().is_some() && slot.is_live(now))
    }
}

/// Keeps the `most` that come first, in order, without sorting the rest.
fn first<T, K: Ord>(list: &mut Vec<T>, most: usize, key: impl Fn(&T) -> K) {
    if list.len() > most {
        list.select_nth_unstable_by_key(most, &key);
        list.truncate(most);
    }
    list.sort_unstable_by_key(key);
}
