//! What is counted, for Prometheus (`GET /metrics`).

use crate::exchange::{Ended, Role};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use protocol::Usage;
use std::{sync::LazyLock, time::Duration};

/// Seconds to the first byte: from a local cache hit to a model that loads for minutes.
const FIRST_BYTE_BUCKETS: [f64; 12] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    role: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    /// `earned` or `spent`
    side: &'static str,
    /// `input` or `output`
    kind: &'static str,
}

/// All metrics of a node. Labels are few and fixed: nothing from the network becomes one.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    exchanges: Family<ExchangeLabels, Counter>,
    first_byte: Histogram,
    attempts: Family<ResultLabel, Counter>,
    receipts: Family<ResultLabel, Counter>,
    tokens: Family<TokenLabels, Counter>,
    reloads: Family<ResultLabel, Counter>,
    tasks: Family<OutcomeLabel, Counter>,
    /// Shared with `strangers.rs`, which hears them.
    pub heard: Heard,
    requests_open: Gauge,
    requests_waiting: Gauge,
    strangers: Gauge,
    strangers_evicted: Gauge,
}

static BUILD: LazyLock<String> = LazyLock::new(|| env!("CARGO_PKG_VERSION").to_owned());

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lobstah");
        let this = Self {
            exchanges: Family::default(),
            first_byte: Histogram::new(FIRST_BYTE_BUCKETS),
            attempts: Family::default(),
            receipts: Family::default(),
            tokens: Family::default(),
            reloads: Family::default(),
            tasks: Family::default(),
            heard: Heard::default(),
            requests_open: Gauge::default(),
            requests_waiting: Gauge::default(),
            strangers: Gauge::default(),
            strangers_evicted: Gauge::default(),
            registry: Registry::default(),
        };
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: BUILD.clone() }).set(1);
        registry.register("build_info", "The version that runs", build);
        registry.register("exchanges", "Requests for inference, by how they ended", this.exchanges.clone());
        registry.register(
            "first_byte_seconds",
            "Time to the first byte of an answer",
            this.first_byte.clone(),
        );
        registry.register("attempts", "Tries at upstreams, by what came of them", this.attempts.clone());
        registry.register("receipts", "Receipts signed, accepted and refused", this.receipts.clone());
        registry.register("tokens", "Tokens in receipts, by side and kind", this.tokens.clone());
        registry.register("reloads", "Readings of a changed lobstah.toml", this.reloads.clone());
        let tasks = "Leases of lines of batches and of jobs, by what came of them";
        registry.register("tasks", tasks, this.tasks.clone());
        let heard = "What was heard of strangers on relays and trackers, by what came of it";
        registry.register("announcements", heard, this.heard.0.clone());
        registry.register("requests_open", "Requests being served now", this.requests_open.clone());
        registry.register(
            "requests_waiting",
            "Requests waiting for a place now",
            this.requests_waiting.clone(),
        );
        registry.register("strangers", "Workers in the roster now", this.strangers.clone());
        registry.register(
            "strangers_evicted",
            "Workers that gave way to others for want of room",
            this.strangers_evicted.clone(),
        );
        Self { registry, ..this }
    }
}

/// What came of everything that strangers said.
#[derive(Clone, Debug, Default)]
pub struct Heard(Family<ResultLabel, Counter>);

impl Heard {
    pub fn count(&self, result: &'static str) {
        self.0.get_or_create(&ResultLabel { result }).inc();
    }
}

impl Metrics {
    pub fn exchange(&self, role: Role, ended: &Ended, first_byte: Option<Duration>) {
        self.exchanges.get_or_create(&ExchangeLabels { role: role.as_str(), outcome: ended.label() }).inc();
        if let Some(after) = first_byte {
            self.first_byte.observe(after.as_secs_f64());
        }
    }

    pub fn attempt(&self, result: &'static str) {
        self.attempts.get_or_create(&ResultLabel { result }).inc();
    }

    pub fn receipt(&self, result: &'static str) {
        self.receipts.get_or_create(&ResultLabel { result }).inc();
    }

    pub fn task(&self, outcome: &'static str) {
        self.tasks.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&ResultLabel { result }).inc();
    }

    pub fn earned(&self, usage: Usage) {
        self.count("earned", usage);
    }

    pub fn spent(&self, usage: Usage) {
        self.count("spent", usage);
    }

    fn count(&self, side: &'static str, usage: Usage) {
        self.tokens.get_or_create(&TokenLabels { side, kind: "input" }).inc_by(usage.input_tokens);
        self.tokens.get_or_create(&TokenLabels { side, kind: "output" }).inc_by(usage.output_tokens);
    }

    /// How many strangers there are, and how many gave way.
    pub fn strangers(&self, known: usize, evicted: u64) {
        self.strangers.set(known as i64);
        self.strangers_evicted.set(evicted as i64);
    }

    /// The text of `GET /metrics`, with the gauges set to what they are now.
    pub fn encode(&self, open: usize, waiting: usize) -> String {
        self.requests_open.set(open as i64);
        self.requests_waiting.set(waiting as i64);
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
