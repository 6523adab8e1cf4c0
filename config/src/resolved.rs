//! What the file means: complete, checked, immutable. The program runs on these and asks nothing again.
//! A field without a comment is the key of its name, as raw.rs describes it.

use crate::{Glob, Secret};
use protocol::{ModelName, NodeId, Price, Tier};
use std::{borrow::Cow, collections::BTreeMap, fmt, net::SocketAddr, time::Duration};
use url::Url;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The local endpoint.
    pub gateway: Gateway,
    /// The engine on this machine.
    pub ollama: Ollama,
    /// Work for others.
    pub worker: Worker,
    /// What others may spend.
    pub credit: Credit,
    /// How nodes find each other.
    pub discovery: Discovery,
    /// Files for batches.
    pub files: Files,
    /// Friends, each key once.
    pub peers: Vec<Peer>,
    /// Other servers, each name once.
    pub upstreams: Vec<Upstream>,
    /// In the order in which they are tried; every upstream that they name exists.
    pub routes: Vec<Route>,
}

/// The local endpoint. Beyond loopback, `api_keys` is never empty.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub listen: SocketAddr,
    pub api_keys: Vec<Secret>,
    /// In bytes.
    pub max_body: u64,
    pub max_output_tokens: u64,
    pub max_price: u64,
    pub queue: usize,
    pub max_wait: Duration,
    pub drain: Duration,
    /// In lower case, without ports.
    pub hosts: Vec<String>,
    /// As browsers send them.
    pub cors_origins: Vec<String>,
}

/// The engine on this machine.
#[derive(Clone, Debug)]
pub struct Ollama {
    pub url: Url,
    /// At least 1.
    pub concurrency: usize,
}

/// Work for others.
#[derive(Clone, Debug)]
pub struct Worker {
    pub enabled: bool,
    pub listen: SocketAddr,
    pub tier: Tier,
    /// At least 1.
    pub concurrency: usize,
    pub queue: usize,
    /// Ask [`Worker::offers`], which knows of cloud models.
    pub models: Vec<Glob>,
    pub max_time: Duration,
    /// The most tokens of context that a prompt is given, of others or of the owner.
    pub max_context: u64,
    pub share: Share,
}

/// When the machine works for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// At any time.
    Always,
}

/// What others may spend, in credits.
#[derive(Clone, Debug)]
pub struct Credit {
    pub newcomer_allowance: u64,
    pub newcomer_pool_per_day: u64,
    pub anonymous: u64,
    pub trust_requester_header: bool,
    /// By the name of the model; ask [`Credit::price`], which knows of default tags.
    pub prices: BTreeMap<String, Price>,
}

/// How nodes find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    pub subscribe: bool,
    pub publish: bool,
    /// Scheme, host and port.
    pub announce_url: Option<Url>,
    pub announce_label: Option<String>,
    pub relays: Vec<Url>,
    pub trackers: Vec<Url>,
    pub ttl: Duration,
    pub publish_receipts: bool,
    pub allow_private: bool,
}

/// Files for batches.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// In bytes.
    pub max: u64,
}

/// A friend.
#[derive(Clone, Debug)]
pub struct Peer {
    pub pubkey: NodeId,
    /// `None` for a friend who only spends.
    pub url: Option<Url>,
    pub label: Option<String>,
    pub credit_limit: u64,
    pub version1: bool,
}

/// Another OpenAI-compatible server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    pub url: Url,
    /// What the variable named by `api_key_env` held.
    pub api_key: Option<Secret>,
    pub models: Vec<Glob>,
}

/// Where the models go that a glob matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub model: Glob,
    /// `None`: the name that was asked.
    pub use_model: Option<ModelName>,
    /// Never empty.
    pub to: Vec<Target>,
    /// `None`: any.
    pub tier: Option<Tier>,
    pub first_byte_timeout: Duration,
    pub silence_timeout: Duration,
    pub answer_timeout: Duration,
}

/// Where a request may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The engine on this machine.
    Local,
    /// Nodes of `[[peers]]` and `peers add`.
    Friends,
    /// Strangers found on relays and trackers.
    Network,
    /// One of `[[upstreams]]`.
    Upstream(String),
}

impl Config {
    /// The route of a model: the first whose glob matches, else [`Route::unnamed`].
    pub fn route_for(&self, model: &str) -> Cow<'_, Route> {
        let named = self.routes.iter().find(|route| route.model.matches_model(model));
        named.map_or_else(|| Cow::Owned(Route::unnamed()), Cow::Borrowed)
    }

    /// Whether any route leads there: a [[routes]] entry, or that of models which none names.
    pub fn leads_to(&self, target: &Target) -> bool {
        let unnamed = Route::unnamed();
        self.routes.iter().chain([&unnamed]).any(|route| route.to.contains(target))
    }

    /// Whether a name that stands where routes have theirs means anything.
    pub fn is_known(&self, target: &Target) -> bool {
        match target {
            Target::Local | Target::Friends | Target::Network => true,
            Target::Upstream(name) => self.upstreams.iter().any(|upstream| upstream.name == *name),
        }
    }
}

impl Gateway {
    /// Whether this is one of the keys. All are compared, so the time taken tells not which.
    pub fn accepts_key(&self, candidate: &[u8]) -> bool {
        self.api_keys.iter().fold(false, |found, key| key.matches(candidate) | found)
    }
}

impl Worker {
    /// Whether a model of Ollama's is offered. What runs in Ollama's cloud is not this machine's to
    /// lend: it is offered only where a glob says so, by its whole name or by its ending.
    pub fn offers(&self, model: &str) -> bool {
        let is_cloud = |name: &str| name.ends_with("-cloud") || name.ends_with(":cloud");
        let names_cloud = |glob: &Glob| is_cloud(glob.as_str());
        self.models.iter().any(|glob| glob.matches_model(model) && (!is_cloud(model) || names_cloud(glob)))
    }
}

impl Credit {
    /// What its owner says that a model of this name costs.
    pub fn price(&self, model: &ModelName) -> Option<Price> {
        let same = |name: &str| name.parse().is_ok_and(|name| model.same_model(&name));
        let exact = self.prices.get(model.as_str());
        exact.or_else(|| self.prices.iter().find(|(name, _)| same(name)).map(|(_, price)| price)).copied()
    }
}

impl Peer {
    /// What is lent to a friend whose entry says nothing of it.
    pub const CREDIT_LIMIT: u64 = 100_000;
}

impl Target {
    /// Those that are no upstream, by the names that routes give them.
    pub const GROUPS: [(&str, Target); 3] =
        [("local", Target::Local), ("friends", Target::Friends), ("network", Target::Network)];

    /// As routes write it; what is no group is the name of one of `[[upstreams]]`, whether there is one or not.
    pub fn named(name: &str) -> Self {
        let group = Self::GROUPS.into_iter().find(|(group, _)| *group == name);
        group.map_or_else(|| Target::Upstream(name.to_owned()), |(_, target)| target)
    }
}

impl Route {
    /// Time for an engine to load a model and read a long prompt.
    pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
    /// Three times the interval of a worker's `: waiting`.
    pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);
    /// For an answer that is not streamed.
    pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60 * 60);

    /// The route of a model that no route names: nothing reaches a stranger unless a route says so.
    pub fn unnamed() -> Self {
        Self {
            model: Glob::any(),
            use_model: None,
            to: vec![Target::Local, Target::Friends],
            tier: None,
            first_byte_timeout: Self::FIRST_BYTE_TIMEOUT,
            silence_timeout: Self::SILENCE_TIMEOUT,
            answer_timeout: Self::ANSWER_TIMEOUT,
        }
    }

    /// The same to some of its targets, in the order in which they are wished for. Nobody but its owner can add any.
    pub fn narrowed(self, wished: &[Target]) -> Self {
        let to = wished.iter().filter(|target| self.to.contains(target)).cloned().collect();
        Self { to, ..self }
    }
}

/// As routes write it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Local => "local",
            Target::Friends => "friends",
            Target::Network => "network",
            Target::Upstream(name) => name,
        })
    }
}
