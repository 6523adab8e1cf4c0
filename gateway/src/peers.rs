//! The peers that a node knows, as `GET /peers` and `lobstah peers list` show them.

use crate::{
    node::Node,
    strangers::{self, Stranger},
    upstream::{Identity, Upstream},
};
use discovery::peer_list::show_url;
use protocol::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// So many strangers are shown, the newest.
const STRANGERS_MAX: usize = 1000;

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    pub pubkey: String,
    pub url: String,
    pub label: Option<String>,
    /// `config`, `added`, `nostr` or `tracker`; the first two are friends.
    pub source: String,
    pub models: Vec<String>,
    pub state: String,
}

/// All of them, friends first. With `ask`, friends are asked now how they are.
pub async fn rows(node: &Node, ask: bool) -> anyhow::Result<Vec<PeerRow>> {
    // What a command wrote a moment ago is shown.
    node.look_at_peers();
    let added: HashSet<NodeId> = node.peers.load()?.into_iter().map(|peer| peer.pubkey).collect();
    let all = node.upstreams.all();
    if ask {
        let asked = all.iter().map(|upstream| node.prober.if_older(upstream, Duration::ZERO));
        futures::future::join_all(asked).await;
    }
    let mut rows: Vec<PeerRow> = all.iter().filter_map(|upstream| friend(upstream, &added)).collect();
    rows.extend(node.strangers.newest(STRANGERS_MAX).iter().map(|entry| stranger(entry)));
    Ok(rows)
}

fn friend(upstream: &Upstream, added: &HashSet<NodeId>) -> Option<PeerRow> {
    let Identity::Friend { node, label } = &upstream.identity else { return None };
    let inventory = upstream.inventory();
    Some(PeerRow {
        pubkey: node.to_string(),
        url: show_url(&upstream.url).to_owned(),
        label: label.clone(),
        source: if added.contains(node) { "added" } else { "config" }.to_owned(),
        models: inventory.models().iter().map(|model| model.name.to_string()).collect(),
        state: upstream.state(Instant::now()).to_owned(),
    })
}

fn stranger(entry: &Stranger) -> PeerRow {
    // Until it is used, its announcement is all that is known.
    let state = entry.attached.get().map_or("unknown", |upstream| upstream.state(Instant::now()));
    let models = entry.offers().unwrap_or_default();
    PeerRow {
        pubkey: entry.node.to_string(),
        url: show_url(&entry.url).to_owned(),
        label: entry.label.as_deref().map(str::to_owned),
        source: strangers::source(entry).to_owned(),
        models: models.iter().map(|offer| offer.model().to_owned()).collect(),
        state: state.to_owned(),
    }
}
