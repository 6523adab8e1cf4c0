//! Being found: what this node's worker offers, kept up to date wherever it is announced.

use crate::{clock, node::Node, prices, worker};
use config::{Config, Discovery};
use discovery::{
    publish::{self, Offer, Publisher, Reach},
    relays::Relays,
    tracker,
};
use nostr_sdk::Keys;
use protocol::{Capacity, ModelName, TokensPerSecond};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often the offer is looked at anew: a change is announced within this and the publisher's floor.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Announces the worker until `leaving`, and takes the announcement back then.
pub async fn run(
    node: &Arc<Node>,
    config: &Discovery,
    relays: &Arc<Relays>,
    keys: Keys,
    leaving: &CancellationToken,
) {
    let publisher = Publisher::new(publish::Setup {
        keypair: node.identity.node.clone(),
        keys,
        relays: Arc::clone(relays),
        trackers: trackers(config),
        reach: reach(node, config),
        clock: clock::now,
        dates: node.dates.clone(),
        tempo: publish::Tempo::default(),
    });
    let (offers, offered) = watch::channel(None);
    tokio::join!(publisher.run(offered, leaving.clone()), watch_offer(node, &offers, leaving));
}

fn trackers(config: &Discovery) -> Vec<tracker::Client> {
    let client = |url: &Url| {
        let made = tracker::Client::new(url.clone());
        made.inspect_err(|error| tracing::error!(%error, "correct discovery.trackers")).ok()
    };
    config.trackers.iter().filter_map(client).collect()
}

fn reach(node: &Node, config: &Discovery) -> Reach {
    if node.strangers.may_be_here() {
        Reach::ThisMachine
    } else if config.allow_private {
        Reach::PrivateNetworks
    } else {
        Reach::Internet
    }
}

async fn watch_offer(node: &Node, offers: &watch::Sender<Option<Offer>>, leaving: &CancellationToken) {
    let mut tick = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = leaving.cancelled() => return,
        }
        let offer = offer(node);
        offers.send_if_modified(|known| {
            let differs = *known != offer;
            *known = offer;
            differs
        });
    }
}

/// What is offered now; `None` while the engine is away or has nothing to lend.
fn offer(node: &Node) -> Option<Offer> {
    let config = node.config();
    let inventory = node.upstreams.local().inventory();
    let models: Vec<ModelName> =
        worker::lent(&config.worker, &inventory).map(|model| model.name.clone()).collect();
    if !inventory.up || models.is_empty() {
        return None;
    }
    let prices = prices::uncommon(&config.credit, &inventory, &models);
    let speeds = node.engine.speeds.all().into_iter();
    Some(Offer {
        url: announced_url(&config)?,
        label: config.discovery.announce_label.clone(),
        tier: config.worker.tier,
        capacity: Some(Capacity {
            concurrency: u32::try_from(config.worker.concurrency).unwrap_or(u32::MAX),
            queue_depth: u32::try_from(node.engine.depth()).unwrap_or(u32::MAX),
            tokens_per_second: speeds
                .filter(|(model, _)| models.contains(model))
                .filter_map(|(model, speed)| Some((model, TokensPerSecond::new(speed)?)))
                .collect(),
        }),
        prices,
        models,
        ttl: config.discovery.ttl,
    })
}

/// `announce_url`, else the address that the worker listens on.
pub fn announced_url(config: &Config) -> Option<Url> {
    let listens = || Url::parse(&format!("http://{}", config.worker.listen)).ok();
    config.discovery.announce_url.clone().or_else(listens)
}
