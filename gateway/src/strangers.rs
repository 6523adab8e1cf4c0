//! Workers that announced themselves: the roster of live announcements, and what this node saw of those
//! that it used.

mod hearing;
mod said;

pub use said::source;

use crate::{
    clock,
    metrics::Heard,
    orders,
    route::{self, Candidate},
    target::Destination,
    upstream::Upstream,
};
use arc_swap::ArcSwap;
use discovery::{
    Trust,
    event::Rules,
    roster::{Entry, Limits, Roster},
};
use nostr_sdk::PublicKey;
use parking_lot::RwLock;
use protocol::{ModelName, NodeId, Price, Tier};
use said::{candidate, said};
use std::{collections::HashSet, fmt, sync::Arc, time::Instant};

/// So many of those who announce a model are weighed for one request, another part of them each time.
const WEIGHED_MAX: usize = 512;

/// So many strangers that did not answer are tried again by one request, after all others.
const DOWN_MAX: usize = 2;

/// So many models of strangers are listed.
const MODELS_MAX: usize = 1000;

/// An entry of the roster, with the upstream that it became when it was first chosen.
pub type Stranger = Entry<Arc<Upstream>>;

/// All strangers.
pub struct Strangers {
    roster: RwLock<Roster<Arc<Upstream>>>,
    rules: ArcSwap<Belief>,
    block_private: bool,
    /// A grid inside one process: strangers may be on loopback.
    may_be_here: bool,
    heard: Heard,
    debtors: ArcSwap<HashSet<NodeId>>,
}

/// What is wished for in a stranger.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The label that is preferred.
    pub tier: Option<Tier>,
    /// Spreads ties and parts of the network: another number for each request.
    pub spread: usize,
    /// Who asks for more credits per 1000 tokens is left out.
    pub max_price: u64,
}

/// How far strangers are believed about where they are.
#[derive(Clone, Copy, Debug)]
struct Belief {
    rules: Rules,
    trust: Trust,
}

impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").finish_non_exhaustive()
    }
}

impl Strangers {
    /// Nobody yet. `may_be_here` is for a grid inside one process, whose workers are on loopback.
    pub fn new(config: &config::Discovery, block_private: bool, may_be_here: bool, heard: Heard) -> Self {
        let belief = Belief::new(config, block_private, may_be_here);
        // Which of a flood stays is nobody's to foretell.
        let seed = getrandom::u64().unwrap_or_default();
        Self {
            roster: RwLock::new(Roster::new(Limits::default(), seed)),
            rules: ArcSwap::from_pointee(belief),
            block_private,
            may_be_here,
            heard,
            debtors: ArcSwap::default(),
        }
    }

    /// Follows new settings.
    pub fn set_rules(&self, config: &config::Discovery) {
        let belief = Belief::new(config, self.block_private, self.may_be_here);
        let before = self.rules.swap(Arc::new(belief));
        if before.rules != belief.rules {
            // What was let in by other rules is heard anew: the relays are asked again.
            self.roster.write().clear(getrandom::u64().unwrap_or_default());
        }
    }

    /// These are no strangers: friends, and the node itself.
    pub fn leave_out(&self, nodes: HashSet<NodeId>) {
        self.roster.write().set_ignored(nodes);
    }

    /// These owe us, and are weighed whenever they announce what is sought.
    pub fn set_debtors(&self, debtors: HashSet<NodeId>) {
        self.debtors.store(Arc::new(debtors));
    }

    /// The best `most` of those who announce this model, by what they say and what was seen of them.
    pub fn best(&self, model: &ModelName, wish: &Wish, most: usize) -> Vec<Arc<Upstream>> {
        let now = Instant::now();
        let debtors = self.debtors.load();
        let mut entries = self.weighed(model, wish.spread, &debtors);
        entries.retain(|entry| {
            let price = entry.offer(model).and_then(|offer| offer.price()).unwrap_or(Price::COMMON);
            orders::affordable(price, wish.max_price)
        });
        let mut down = Vec::new();
        entries.retain(|entry| match entry.attached.get() {
            Some(upstream) if upstream.serves(model) == Some(false) => false,
            // One that announced itself since is no longer taken for down.
            Some(upstream) if upstream.is_down_since(entry.announced_at) => {
                down.push(Arc::clone(entry));
                false
            }
            _ => true,
        });
        let view = |entry: &Arc<Stranger>| Candidate {
            owes_us: debtors.contains(&entry.node),
            ..candidate(entry, model, now)
        };
        let views: Vec<Candidate> = entries.iter().map(view).collect();
        let mut best: Vec<_> = route::best(&views, wish.tier, wish.spread, most)
            .into_iter()
            .filter_map(|place| self.upstream(&entries[place], model))
            .collect();
        // Nobody is given up for good: where there is no other, a few are tried again.
        let left = most.saturating_sub(best.len()).min(DOWN_MAX);
        best.extend(down.iter().take(left).filter_map(|entry| self.upstream(entry, model)));
        best
    }

    /// Some of those who announce the model, another part of them each time, and all that owe us.
    fn weighed(&self, model: &ModelName, spread: usize, debtors: &HashSet<NodeId>) -> Vec<Arc<Stranger>> {
        let (roster, now) = (self.roster.read(), clock::now());
        let mut entries = roster.serving(model, WEIGHED_MAX, spread, now);
        if !debtors.is_empty() {
            entries.retain(|entry| !debtors.contains(&entry.node));
            let owing = debtors.iter().filter_map(|node| roster.get(node, now));
            entries.extend(owing.filter(|entry| entry.offer(model).is_some()));
        }
        entries
    }

    /// Those who announce the model and are not asked for it, with the reason; some of them.
    pub fn passed_over(&self, model: &ModelName, most: usize) -> Vec<(Arc<Upstream>, &'static str)> {
        let entries = self.roster.read().serving(model, WEIGHED_MAX, 0, clock::now());
        let attached = entries.iter().filter_map(|entry| entry.attached.get());
        let without = attached.filter(|upstream| upstream.serves(model) == Some(false)).take(most);
        without.map(|upstream| (Arc::clone(upstream), "does not have the model that it announced")).collect()
    }

    /// The upstream of an entry, made when it is first chosen.
    fn upstream(&self, entry: &Stranger, model: &ModelName) -> Option<Arc<Upstream>> {
        let upstream = match entry.attached.get() {
            Some(upstream) => Arc::clone(upstream),
            None => {
                let label = entry.label.as_deref().map(str::to_owned);
                let trust = self.rules.load().trust;
                let made = Upstream::stranger(entry.node, &entry.url, label, trust).ok()?;
                Arc::clone(entry.attached.get_or_init(|| made))
            }
        };
        upstream.announced(said(entry, model));
        upstream.set_owes_us(self.debtors.load().contains(&entry.node));
        Some(upstream)
    }

    /// A stranger served us well: it is not forgotten for a flood of others.
    pub fn prove(&self, node: &NodeId) {
        // Most exchanges are with friends; they cost a look and no more.
        if self.roster.read().get(node, clock::now()).is_some() {
            self.roster.write().prove(node);
        }
    }

    /// Where a stranger is, as long as it is announced.
    pub fn destination(&self, node: &NodeId) -> Option<Destination> {
        let entry = self.roster.read().get(node, clock::now())?;
        match entry.attached.get() {
            Some(upstream) => Some(upstream.destination.clone()),
            None => Destination::new(&entry.url, self.rules.load().trust).ok(),
        }
    }

    /// The models that strangers announce, some of them if there are very many.
    pub fn models(&self) -> Vec<ModelName> {
        let roster = self.roster.read();
        roster.models().take(MODELS_MAX).filter_map(|name| name.parse().ok()).collect()
    }

    /// Whether anybody announces the model.
    pub fn have(&self, model: &ModelName) -> bool {
        !self.roster.read().serving(model, 1, 0, clock::now()).is_empty()
    }

    /// How many gave way to others for want of room.
    pub fn evicted(&self) -> u64 {
        self.roster.read().evicted()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roster.read().len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest announcements, at most so many.
    pub fn newest(&self, most: usize) -> Vec<Arc<Stranger>> {
        self.roster.read().newest(most, clock::now())
    }

    /// The Nostr keys of those whose departure is worth knowing at once: who served us, then the newest.
    pub fn authors(&self, most: usize) -> Vec<PublicKey> {
        let known = self.roster.read().snapshot(most, clock::now()).kept;
        known.into_iter().filter_map(|one| Some(one.publication?.author)).collect()
    }

    /// Whether strangers may be on loopback: a grid inside one process.
    pub fn may_be_here(&self) -> bool {
        self.may_be_here
    }
}

impl Belief {
    fn new(config: &config::Discovery, block_private: bool, may_be_here: bool) -> Self {
        let allow_private = config.allow_private;
        if may_be_here {
            return Self { rules: Rules::Listed, trust: Trust::Friend };
        }
        Self {
            rules: Rules::Dialled { allow_private, block_private },
            trust: Trust::Stranger { allow_private },
        }
    }
}
