//! What is known of one node: its newest announcement, live or not, and who published it.

use super::{entry::Entry, published::Published};
use crate::event::Announced;
use protocol::{NodeId, Timestamp};
use std::{cmp::Ordering, sync::Arc};

/// One node. That an announcement was taken back is remembered as long as it, or an older one, could
/// be heard again.
#[derive(Debug)]
pub(super) struct Slot<A> {
    pub(super) state: State<A>,
    pub(super) published: Published,
    /// The node itself took the announcement back.
    pub(super) withdrawn: bool,
    /// The last moment at which any announcement of it that came could be heard again.
    pub(super) remembered_until: Timestamp,
    /// When the expiry queue looks at it.
    pub(super) due: Timestamp,
    /// Where it stands among those that may give way, if it does.
    pub(super) place: u32,
    /// Where it stands on the shelf of each model that it offers.
    pub(super) shelved: Box<[u32]>,
    /// It served us.
    pub(super) proven: bool,
}

#[derive(Debug)]
pub(super) enum State<A> {
    Live(Arc<Entry<A>>),
    Gone(Box<Stone>),
}

/// What is remembered of an announcement that is gone.
#[derive(Debug)]
pub(super) struct Stone {
    node: NodeId,
    announced_at: Timestamp,
    expires_at: Timestamp,
    signature: [u8; 64],
}

impl Stone {
    fn of(announced: &Announced) -> Box<Self> {
        Box::new(Self {
            node: announced.node(),
            announced_at: announced.announcement.announced_at,
            expires_at: announced.announcement.lives_until(),
            signature: announced.signature,
        })
    }

    fn of_entry<A>(entry: &Entry<A>) -> Box<Self> {
        Box::new(Self {
            node: entry.node,
            announced_at: entry.announced_at,
            expires_at: entry.expires_at,
            signature: *entry.signature(),
        })
    }
}

impl<A> Slot<A> {
    /// A node of which nothing was known, with an announcement that does not count yet.
    pub(super) fn new(announced: &Announced, withdrawn: bool, proven: bool) -> Self {
        let stone = Stone::of(announced);
        Self {
            remembered_until: stone.expires_at,
            due: stone.expires_at,
            state: State::Gone(stone),
            published: Published::default(),
            withdrawn,
            place: 0,
            shelved: Box::default(),
            proven,
        }
    }

    /// A newer announcement of the same node, that does not count yet either.
    pub(super) fn renew(&mut self, announced: &Announced, withdrawn: bool) {
        let stone = Stone::of(announced);
        self.remembered_until = self.remembered_until.max(stone.expires_at);
        self.state = State::Gone(stone);
        self.withdrawn = withdrawn;
    }

    pub(super) fn entry(&self) -> Option<&Arc<Entry<A>>> {
        match &self.state {
            State::Live(entry) => Some(entry),
            State::Gone(_) => None,
        }
    }

    pub(super) fn node(&self) -> &NodeId {
        match &self.state {
            State::Live(entry) => &entry.node,
            State::Gone(stone) => &stone.node,
        }
    }

    pub(super) fn announced_at(&self) -> Timestamp {
        match &self.state {
            State::Live(entry) => entry.announced_at,
            State::Gone(stone) => stone.announced_at,
        }
    }

    /// `Greater` if `announced` is newer than what is known. Of two announcements of one moment the
    /// same one counts whichever comes first: that of the higher signature.
    pub(super) fn age_of(&self, announced: &Announced) -> Ordering {
        let (known_at, known) = match &self.state {
            State::Live(entry) => (entry.announced_at, entry.signature()),
            State::Gone(stone) => (stone.announced_at, &stone.signature),
        };
        (announced.announcement.announced_at, &announced.signature).cmp(&(known_at, known))
    }

    /// The last moment at which its announcement counts; `None` if it was taken back.
    pub(super) fn lives_until(&self) -> Option<Timestamp> {
        let end = match &self.state {
            State::Live(entry) => entry.expires_at,
            State::Gone(stone) => stone.expires_at,
        };
        if self.withdrawn { None } else { self.published.lives_until(end) }
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.lives_until().is_some_and(|until| now <= until)
    }

    /// When it has to be looked at again: when it stops to count, or can be forgotten.
    pub(super) fn next_due(&self) -> Timestamp {
        let gone = matches!(self.state, State::Gone(_));
        if gone { self.remembered_until } else { self.lives_until().unwrap_or(self.remembered_until) }
    }

    /// Forgets what the announcement says, and keeps that it was.
    pub(super) fn bury(&mut self) -> Option<Arc<Entry<A>>> {
        let State::Live(entry) = &self.state else { return None };
        let stone = State::Gone(Stone::of_entry(entry));
        match std::mem::replace(&mut self.state, stone) {
            State::Live(entry) => Some(entry),
            State::Gone(_) => None,
        }
    }
}
