//! `lobstah peers add | remove | list`

use super::{Home, print, print_json, table};
use crate::{node, prober::Prober, roster::Identity, target::Connections};
use anyhow::Context;
use clap::Subcommand;
use discovery::{PeerEntry, PeerList, peer_list};
use protocol::NodeId;
use serde_json::json;
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a friend, or change its URL and label
    Add {
        /// The node's key: lob1 and 64 hex digits
        pubkey: NodeId,
        /// Where its worker answers: http://host:17474
        url: String,
        /// What you call it
        label: Option<String>,
    },
    /// Take a friend out of the list
    Remove {
        /// The node's key
        pubkey: NodeId,
    },
    /// Show all friends, what they serve and how they fare
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let list = PeerList::at(&home.paths.peers);
    match command {
        Command::Add { pubkey, url, label } => {
            crate::identity_file::private_folder(&home.paths.home)?;
            let peer = PeerEntry { pubkey, url: peer_list::parse_url(&url)?, label };
            let total = list.add(peer)?.len();
            print(&format!("added {pubkey}\n({} in the list)\n", super::counted(total, "peer")))?;
        }
        Command::Remove { pubkey } => return remove(&home, &list, pubkey),
        Command::List { json } => show(&home, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(home: &Home, list: &PeerList, pubkey: NodeId) -> anyhow::Result<ExitCode> {
    let (found, rest) = list.remove(&pubkey)?;
    if found {
        print(&format!("removed {pubkey}\n({} left in the list)\n", super::counted(rest.len(), "peer")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let configured = home.config(&[])?.peers.iter().any(|peer| peer.pubkey == pubkey);
    let where_it_is = if configured {
        "it stands in lobstah.toml: remove it there"
    } else {
        "`lobstah peers list` shows those there are"
    };
    anyhow::bail!("{pubkey} is not in the list; {where_it_is}")
}

/// Asks every peer now, so that what is shown is how things are.
fn show(home: &Home, json: bool) -> anyhow::Result<()> {
    let config = home.config(&[])?;
    let added: Vec<NodeId> = PeerList::at(&home.paths.peers).load()?.iter().map(|peer| peer.pubkey).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    let upstreams = runtime.block_on(async {
        let roster = node::upstreams(node::friends(&config, &PeerList::at(&home.paths.peers))?, None)?;
        let connections = Arc::new(Connections::new(home.blocks_private_addresses()));
        let ollama = upstream_ollama::Ollama::new(config.ollama.url.clone())?;
        let prober = Prober::new(ollama, connections);
        let asked = roster.iter().map(|upstream| prober.if_older(upstream, Duration::ZERO));
        futures::future::join_all(asked).await;
        anyhow::Ok(roster)
    });
    for upstream in upstreams.context("the peers cannot be asked")? {
        let Identity::Friend { node, label } = &upstream.identity else { continue };
        let models: Vec<String> =
            upstream.inventory().models().iter().map(|model| model.name.to_string()).collect();
        let source = if added.contains(node) { "added" } else { "config" };
        let state = upstream.state(Instant::now());
        rows.push((node.to_string(), upstream.url.clone(), label.clone(), source, models, state));
    }
    if json {
        let peers: Vec<_> = rows
            .iter()
            .map(|(pubkey, url, label, source, models, state)| {
                json!({"pubkey": pubkey, "url": peer_list::show_url(url), "label": label, "source": source, "models": models, "state": state})
            })
            .collect();
        return print_json(&peers);
    }
    if rows.is_empty() {
        return print("no peers yet; add one with: lobstah peers add <key> <url> [label]\n");
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(pubkey, url, label, source, models, state)| {
            let models = if models.is_empty() { "-".into() } else { models.join(", ") };
            vec![
                label.unwrap_or_else(|| "-".into()),
                state.into(),
                peer_list::show_url(&url).into(),
                source.into(),
                models,
                pubkey,
            ]
        })
        .collect();
    print(&table::render(&["label", "state", "url", "source", "models", "key"], &cells))
}
