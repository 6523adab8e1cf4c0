//! `lobstah balance`

mod network;

use super::{Home, print, print_json, table};
use crate::{
    owed::{self, Owed},
    reports,
};
use discovery::PeerEntry;
use ledger::{Account, Ledger};
use protocol::Requester;
use std::process::ExitCode;

/// Of [`credit_row`].
const CREDIT_HEADER: [&str; 8] =
    ["credit with", "owed to me", "owed by me", "claimed", "disputed", "reserved", "line", "available"];

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
    let peers = crate::node::friends(&config, &discovery::PeerList::at(&home.paths.peers))?;
    let credit = owed::with_all(&config, &peers, &reader)?;
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
        let rows: Vec<Vec<String>> = credit.iter().map(credit_row).collect();
        print(&format!("\n{}", table::render(&CREDIT_HEADER, &rows)))?;
        print("credit is between two nodes: what one owes you buys nothing at another\n")?;
    }
    if let Some(network) = network {
        print(&format!("\n{network}"))?;
    }
    Ok(done)
}

fn row(who: &Requester, account: &Account, peers: &[PeerEntry]) -> Vec<String> {
    let label =
        peers.iter().find(|peer| Requester::Node(peer.pubkey) == *who).and_then(|peer| peer.label.clone());
    let numbers = [account.earned, account.spent, account.receipts].map(|number| number.to_string());
    [vec![label.unwrap_or_else(|| "-".into())], numbers.to_vec(), vec![who.to_string()]].concat()
}

fn credit_row(owed: &Owed) -> Vec<String> {
    let who = owed.label.clone().unwrap_or_else(|| owed.pubkey.chars().take(12).collect());
    let numbers = [
        owed.owed_to_me,
        owed.owed_by_me,
        owed.claimed,
        owed.disputed,
        owed.reserved,
        owed.line,
        owed.available,
    ];
    std::iter::once(who).chain(numbers.map(|number| number.to_string())).collect()
}
