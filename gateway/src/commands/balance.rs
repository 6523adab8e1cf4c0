//! `lobstah balance`

mod network;

use super::{Home, print, print_json, table};
use crate::reports;
use discovery::PeerEntry;
use ledger::{Account, Ledger, Line, Party};
use protocol::{Credits, Requester};
use serde::Serialize;
use std::process::ExitCode;

/// More accounts than this are not listed; the totals count all.
const ACCOUNTS_MAX: usize = 1000;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print JSON, as `GET /balance` has it
    #[arg(long)]
    json: bool,
    /// Show also what nodes claim in public receipts, as the relays of `lobstah.toml` have them
    #[arg(long)]
    network: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let config = home.config(&[])?;
    let (identity, _) = home.identity()?;
    let me = identity.node.node_id();
    let ledger = Ledger::open(&home.paths.ledger, me)?;
    let reader = ledger.reader()?;
    let accounts = reader.accounts(ACCOUNTS_MAX)?;
    let balance =
        reports::balance_object(me, reader.totals()?, reader.account(Requester::Node(me))?, &accounts);
    let credit = standings(&home, &config, &reader)?;
    let network = args.network.then(|| network::ask(&config.discovery.relays)).transpose()?;
    let done = network.as_ref().map_or(ExitCode::SUCCESS, network::Network::exit_code);
    if args.json {
        let mut balance = balance;
        balance["peers"] = serde_json::json!(credit);
        if let Some(network) = &network {
            balance["network"] = serde_json::json!(network);
        }
        print_json(&balance)?;
        return Ok(done);
    }
    let peers = crate::node::friends(&config, &discovery::PeerList::at(&home.paths.peers))?;
    let own = &balance["self"];
    print(&format!("{me}\nearned {}, spent {}, net {} tokens\n", own["earned"], own["spent"], own["net"]))?;
    let others: Vec<_> = accounts.iter().filter(|(who, _)| *who != Requester::Node(me)).collect();
    if others.is_empty() {
        print("no receipts yet; they come with the first answer from a peer or for one\n")?;
    } else {
        let rows: Vec<Vec<String>> = others.iter().map(|(who, account)| row(who, account, &peers)).collect();
        let header = ["peer", "it earned", "it spent", "receipts", "key"];
        print(&format!("\n{}", table::render(&header, &rows)))?;
    }
    if !credit.is_empty() {
        let header = ["credit with", "owed to me", "owed by me", "claimed", "reserved", "line", "available"];
        let rows: Vec<Vec<String>> = credit.iter().map(Owed::row).collect();
        print(&format!("\n{}", table::render(&header, &rows)))?;
        print("credit is between two nodes: what one owes you buys nothing at another\n")?;
    }
    if let Some(network) = network {
        print(&format!("\n{network}"))?;
    }
    Ok(done)
}

/// How this node stands with one other.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Owed {
    pubkey: String,
    label: Option<String>,
    owed_to_me: u64,
    owed_by_me: u64,
    claimed: u64,
    reserved: u64,
    line: u64,
    available: u64,
}

impl Owed {
    fn row(&self) -> Vec<String> {
        let who = self.label.clone().unwrap_or_else(|| self.pubkey.chars().take(12).collect());
        let numbers =
            [self.owed_to_me, self.owed_by_me, self.claimed, self.reserved, self.line, self.available];
        std::iter::once(who).chain(numbers.map(|number| number.to_string())).collect()
    }
}

fn standings(home: &Home, config: &::config::Config, reader: &ledger::Reader) -> anyhow::Result<Vec<Owed>> {
    let peers = crate::node::friends(config, &discovery::PeerList::at(&home.paths.peers))?;
    let now = crate::clock::now();
    let mut owed = Vec::new();
    for (who, standing) in reader.standings(None, ACCOUNTS_MAX)? {
        let Party::Node(node) = who else { continue };
        let friend = peers.iter().find(|peer| peer.pubkey == node);
        let configured = config.peers.iter().find(|peer| peer.pubkey == node);
        let line = match (configured, friend) {
            (Some(peer), _) => Line::Friend { limit: Credits::saturating(peer.credit_limit) },
            (None, Some(_)) => Line::Friend { limit: Credits::saturating(::config::Peer::CREDIT_LIMIT) },
            (None, None) => Line::Newcomer {
                allowance: Credits::saturating(config.credit.newcomer_allowance),
                pool_per_day: Credits::saturating(config.credit.newcomer_pool_per_day),
            },
        };
        let lent = match line {
            Line::Friend { limit } => limit,
            Line::Newcomer { allowance, .. } => allowance,
        };
        owed.push(Owed {
            pubkey: node.to_string(),
            label: friend.and_then(|peer| peer.label.clone()),
            owed_to_me: standing.owed_to_me(),
            owed_by_me: standing.owed_by_me(),
            claimed: standing.claimed,
            reserved: standing.reserved,
            line: standing.lent.unwrap_or(lent.get()),
            available: reader.available(who, line, now)?.get(),
        });
    }
    Ok(owed)
}

fn row(who: &Requester, account: &Account, peers: &[PeerEntry]) -> Vec<String> {
    let label =
        peers.iter().find(|peer| Requester::Node(peer.pubkey) == *who).and_then(|peer| peer.label.clone());
    let numbers = [account.earned, account.spent, account.receipts].map(|number| number.to_string());
    [vec![label.unwrap_or_else(|| "-".into())], numbers.to_vec(), vec![who.to_string()]].concat()
}
