//! `lobstah peers add | remove | sync | gossip-nostr | list`

use super::{Home, owner, print, print_json, table};
use crate::{
    clock,
    node::Node,
    peers::{self, PeerRow},
};
use anyhow::Context;
use clap::Subcommand;
use discovery::{
    PeerEntry, PeerList, peer_list,
    relays::{self, Ear, Question},
    roster_file::RosterFile,
    tracker,
};
use protocol::NodeId;
use std::{process::ExitCode, sync::Arc, time::Duration};
use url::Url;

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
    /// Ask a tracker for workers, and keep them as strangers
    Sync {
        /// Where the tracker answers: http://host:17476
        tracker_url: Url,
    },
    /// Ask Nostr relays for workers, and keep them as strangers
    GossipNostr {
        /// A relay; may be given more than once [default: discovery.relays]
        #[arg(long = "nostr-relay", value_name = "URL")]
        relays: Vec<Url>,
    },
    /// Show all peers, what they serve and how they fare
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Relays that say nothing for so long are left out.
const GOSSIP_PATIENCE: Duration = Duration::from_secs(15);

/// So many strangers are listed after they were gathered.
const SHOWN_MAX: usize = 50;

/// Where strangers are asked for.
enum MeetingPlace {
    Tracker(Url),
    Relays(Vec<Url>),
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
        Command::Sync { tracker_url } => return gather(&home, &MeetingPlace::Tracker(tracker_url)),
        Command::GossipNostr { relays } => {
            let relays = if relays.is_empty() { home.config(&[])?.discovery.relays } else { relays };
            return gather(&home, &MeetingPlace::Relays(relays));
        }
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

/// Asks every friend now, so that what is shown is how things are; a node that runs here knows more.
fn show(home: &Home, json: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows: Vec<PeerRow> = runtime.block_on(async {
        if let Some(rows) = owner::get(home, "/peers").await? {
            return anyhow::Ok(serde_json::from_value(rows)?);
        }
        let node = Node::build(home.plan(&[])?)?;
        node.strangers.load(&RosterFile::at(home.paths.strangers()));
        peers::rows(&node, true).await
    })?;
    if json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return print(
            "no peers yet; add a friend with: lobstah peers add <key> <url> [label]\n\
             or look for strangers with: lobstah peers gossip-nostr\n",
        );
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let models = if row.models.is_empty() { "-".into() } else { row.models.join(", ") };
            vec![row.label.unwrap_or_else(|| "-".into()), row.state, row.url, row.source, models, row.pubkey]
        })
        .collect();
    print(&table::render(&["label", "state", "url", "source", "models", "key"], &cells))
}

/// Asks a tracker or relays for workers and keeps them as strangers: never as friends.
fn gather(home: &Home, from: &MeetingPlace) -> anyhow::Result<ExitCode> {
    let file = RosterFile::at(home.paths.strangers());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let node = Node::build(home.plan(&[])?)?;
    node.strangers.load(&file);
    let reached = runtime.block_on(async {
        match from {
            MeetingPlace::Tracker(url) => sync(&node, url).await,
            MeetingPlace::Relays(urls) => gossip(&node, urls).await,
        }
    })?;
    node.strangers.save(&file);
    let found = node.strangers.newest(SHOWN_MAX);
    let mut text = String::new();
    for entry in &found {
        let label = entry.label.as_deref().unwrap_or("-");
        text.push_str(&format!("{}  {}  {label}\n", entry.node, peer_list::show_url(&entry.url)));
    }
    text.push_str(&format!(
        "{} known; a route reaches them only where it says `network`\n",
        super::counted(node.strangers.len(), "stranger")
    ));
    print(&text)?;
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn sync(node: &Node, url: &Url) -> anyhow::Result<bool> {
    let listed =
        tracker::Client::new(url.clone())?.peers().await.with_context(|| format!("the tracker {url}"))?;
    let (count, malformed) = (listed.peers.len(), listed.malformed);
    listed.peers.into_iter().for_each(|signed| node.strangers.hear_tracker(signed));
    let bad = if malformed > 0 { format!(", {malformed} of no use") } else { String::new() };
    print(&format!("{url}: {}{bad}\n", super::counted(count, "announcement")))?;
    Ok(true)
}

/// Whether any relay was heard out.
async fn gossip(node: &Node, urls: &[Url]) -> anyhow::Result<bool> {
    let ear: Arc<dyn Ear> = Arc::clone(&node.strangers) as Arc<dyn Ear>;
    let gathered = relays::gather(urls, ear, Question::AnnouncedAt(clock::now()), GOSSIP_PATIENCE).await;
    let mut reached = false;
    for one in gathered {
        let word = match one.result {
            Ok(events) => {
                reached = true;
                super::counted(events as usize, "event")
            }
            Err(why) => why.to_string(),
        };
        print(&format!("{}: {word}\n", one.relay))?;
    }
    Ok(reached)
}
