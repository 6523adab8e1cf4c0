//! One stranger as the roster keeps it: small, because there can be a hundred thousand.

use super::packed::Packed;
use crate::event::Announced;
use protocol::{Announcement, ModelName, NodeId, Price, Tier, Timestamp, TokensPerSecond};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};
use url::Url;

/// Where an announcement was first heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On a Nostr relay.
    Nostr,
    /// From a tracker.
    Tracker,
}

/// How many requests a worker says that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In its engine at once; at least 1.
    pub concurrency: u32,
    /// In it now, running and waiting.
    pub queue_depth: u32,
}

/// A model that a worker announces, with what it says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    model: Arc<str>,
    /// 0 if it does not say.
    speed: f64,
    price: Option<Box<Price>>,
}

/// A live announcement of a stranger. None of it is proven, but that the node said it.
#[derive(Debug)]
pub struct Entry<A> {
    /// Who it is.
    pub node: NodeId,
    /// Scheme, host and port of its worker.
    pub url: Url,
    /// What its owner calls it.
    pub label: Option<Box<str>>,
    /// What it is good for.
    pub tier: Tier,
    /// How much it takes, if it says so.
    pub room: Option<Room>,
    /// What it speaks: 1 or 2.
    pub protocol: u8,
    /// Where this announcement was first heard.
    pub source: Source,
    /// When it was made.
    pub announced_at: Timestamp,
    /// The last moment of its time to live. It leaves the roster earlier where all who published it
    /// took it back.
    pub expires_at: Timestamp,
    /// What the gateway keeps of its connection; moves along while the URL stays.
    pub attached: OnceLock<A>,
    /// By model, each once; `None` if it does not say what it has.
    offers: Option<Box<[Offer]>>,
    /// What was signed, without what stands in the other fields too.
    canonical: Packed,
    signature: [u8; 64],
}

impl Offer {
    /// The model, its default tag made explicit.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How fast it is, if the worker says so.
    pub fn tokens_per_second(&self) -> Option<TokensPerSecond> {
        TokensPerSecond::new(self.speed)
    }

    /// What it charges; the common price if `None` (SPEC section 4).
    pub fn price(&self) -> Option<Price> {
        self.price.as_deref().copied()
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.model
    }
}

impl<A> Entry<A> {
    /// `intern` gives one shared text for equal names.
    pub(super) fn new(announced: &Announced, intern: impl Fn(&str) -> Arc<str>) -> Self {
        let announcement = &announced.announcement;
        let source = if announced.publication.is_some() { Source::Nostr } else { Source::Tracker };
        let room = announcement
            .capacity
            .as_ref()
            .map(|capacity| Room { concurrency: capacity.concurrency, queue_depth: capacity.queue_depth });
        let mut entry = Self {
            node: announcement.node,
            url: announcement.url.clone(),
            label: announcement.label.as_deref().map(Into::into),
            tier: announcement.tier,
            room,
            protocol: announcement.protocol,
            source,
            announced_at: announcement.announced_at,
            expires_at: announcement.lives_until(),
            attached: OnceLock::new(),
            offers: offers(announcement, intern),
            canonical: Packed::default(),
            signature: announced.signature,
        };
        entry.canonical = Packed::new(&announced.canonical, &entry.own(&entry.node.to_string()));
        entry
    }

    /// Texts of other fields that the signed one repeats. `node` is its text.
    fn own<'e>(&'e self, node: &'e str) -> Vec<&'e str> {
        let mut own = vec![node, self.url.as_str().trim_end_matches('/')];
        own.extend(self.label.as_deref());
        own.extend(self.offers().unwrap_or_default().iter().map(Offer::model));
        own
    }

    /// What it announces, by name; `None` if it does not say what it has.
    pub fn offers(&self) -> Option<&[Offer]> {
        self.offers.as_deref()
    }

    /// What it says of one model, the default tag being implied.
    pub fn offer(&self, model: &ModelName) -> Option<&Offer> {
        let (offers, name) = (self.offers()?, model.with_tag());
        offers.binary_search_by(|offer| (*offer.model).cmp(&name)).ok().map(|at| &offers[at])
    }

    /// The announcement as it was signed: `{"announcement":…,"signature":"…"}`, canonical JSON.
    pub fn signed_json(&self) -> String {
        let canonical = self.canonical.text(&self.own(&self.node.to_string()));
        format!(r#"{{"announcement":{canonical},"signature":"{}"}}"#, hex::encode(self.signature))
    }

    pub(super) fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    pub(super) fn signed_bytes(&self) -> usize {
        self.canonical.len() + self.signature.len()
    }

    /// Whether it says anything else than `other`, but for its times and where it was heard.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let said = |entry: &Self| (entry.tier, entry.room, entry.protocol);
        said(self) != said(other)
            || self.url != other.url
            || self.label != other.label
            || self.offers != other.offers
    }
}

/// Sorted by name. A model that stands twice, or once with its default tag and once without, counts once.
fn offers(announcement: &Announcement, intern: impl Fn(&str) -> Arc<str>) -> Option<Box<[Offer]>> {
    let models = announcement.models.as_ref()?;
    let speeds = tagged(announcement.capacity.as_ref().map(|capacity| &capacity.tokens_per_second));
    let prices = tagged(announcement.prices.as_ref());
    let names: BTreeSet<_> = models.iter().map(ModelName::with_tag).collect();
    let offer = |name: &Cow<'_, str>| Offer {
        model: intern(name),
        speed: speeds.get(name).map_or(0.0, |speed| speed.get()),
        price: prices.get(name).map(|&price| Box::new(*price)),
    };
    Some(names.iter().map(offer).collect())
}

/// The same table by names with their tags; of two that mean one model the first counts.
fn tagged<T>(table: Option<&BTreeMap<ModelName, T>>) -> BTreeMap<Cow<'_, str>, &T> {
    table.into_iter().flatten().rev().map(|(name, value)| (name.with_tag(), value)).collect()
}
