//! How the roster comes to be: what relays, trackers and the file of the last run say, each checked.

use super::{Strangers, said::label};
use crate::clock;
use discovery::{
    event::{self, Checked, Refused},
    relays::{Ear, Garbage},
    roster::TakenIn,
    roster_file::{FILE_ENTRIES_MAX, RosterFile},
};
use nostr_sdk::{Event, EventId};
use protocol::{Announcement, NodeId, Signed};
use url::Url;

impl Strangers {
    /// Takes in what a tracker gave.
    pub fn hear_tracker(&self, signed: Signed<Announcement>) {
        let said = signed.unverified();
        if !self.roster.read().wants(&said.node, said.announced_at) {
            return self.heard.count(label(TakenIn::Known));
        }
        let checked = event::from_tracker(signed, clock::now(), self.rules.load().rules);
        self.heard.count(checked.map_or_else(Refused::label, |checked| self.take_in(checked)));
    }

    /// Takes in what this process or another of this home kept on disk, checked anew.
    pub fn load(&self, file: &RosterFile) {
        let rules = self.rules.load().rules;
        let wanted = |node: &NodeId, at| self.roster.read().wants(node, at);
        match file.load(clock::now(), rules, wanted) {
            Ok(loaded) => {
                self.roster.write().restore(loaded, clock::now());
            }
            Err(error) => tracing::warn!(%error, "the strangers of before are not known any more"),
        }
    }

    /// Puts what is known on disk, beside what other processes of this home know.
    pub fn save(&self, file: &RosterFile) {
        let snapshot = self.roster.read().snapshot(FILE_ENTRIES_MAX, clock::now());
        if let Err(error) = file.save(&snapshot, clock::now()) {
            tracing::warn!(%error, "the strangers that are known could not be kept for the next run");
        }
    }

    /// Forgets those whose time is over.
    pub fn expire(&self) -> usize {
        self.roster.write().expire(clock::now())
    }

    fn take_in(&self, checked: Checked) -> &'static str {
        label(self.roster.write().take_in(checked, clock::now()))
    }
}

/// Events are checked in the task that reads the relay, without the roster's lock.
impl Ear for Strangers {
    fn knows(&self, id: &EventId) -> bool {
        self.roster.read().knows(id)
    }

    fn hear(&self, _relay: &Url, event: Event) {
        let checked = event::read(&event, clock::now(), self.rules.load().rules);
        self.heard.count(checked.map_or_else(Refused::label, |checked| self.take_in(checked)));
    }

    fn garbage(&self, _relay: &Url, _garbage: Garbage) {
        self.heard.count("garbage");
    }
}
