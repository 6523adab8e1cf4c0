//! `lobstah credit lend | block | unblock | forgive | settle`: the owner's decisions. A node that runs in
//! this home goes by them from its next request on.

mod accept;

use super::{Home, print};
use crate::clock;
use clap::Subcommand;
use ledger::{ByCreditor, ByDebtor, Ledger, Settled, Settlement, SettlementHalf};
use protocol::{Credits, Identity, NodeId, Verified};
use std::{future::Future, path::PathBuf, process::ExitCode};
use uuid::Uuid;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Lend a node so many tokens, whatever the settings say
    Lend {
        /// The node's key
        pubkey: NodeId,
        /// The most that it may owe this node; left out: what the settings say again
        tokens: Option<u64>,
    },
    /// Take nothing from a node any more
    Block {
        /// The node's key
        pubkey: NodeId,
    },
    /// Take work from it again
    Unblock {
        /// The node's key
        pubkey: NodeId,
    },
    /// Ask for what a node owes no more: a sum of what is settled, or was claimed without an order; or what
    /// one order was charged
    Forgive {
        /// The node's key
        pubkey: NodeId,
        /// How many credits
        credits: u64,
        /// Of this order, which may be disputed or not acknowledged
        #[arg(long, value_name = "UUID")]
        order: Option<Uuid>,
    },
    /// Put on the books what was paid outside of the network. Prints a statement for the other side
    Settle {
        /// The node's key. Beside --accept: whose statement is signed, if it is over so many credits
        #[arg(required_unless_present = "accept")]
        pubkey: Option<NodeId>,
        /// How many credits were paid
        #[arg(required_unless_present = "accept")]
        credits: Option<u64>,
        /// It paid this node; otherwise this node paid it
        #[arg(long)]
        received: bool,
        /// Read the other side's statement from a file (`-`: standard input). Signed, kept and printed only
        /// with --yes, or beside the KEY and the CREDITS that it names
        #[arg(long, value_name = "FILE", conflicts_with = "received")]
        accept: Option<PathBuf>,
        /// Sign what --accept has read, whatever it says
        #[arg(long, requires = "accept")]
        yes: bool,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let (identity, _) = home.identity()?;
    let ledger = Ledger::open(&home.paths.ledger, identity.node.node_id())?;
    let now = clock::now();
    match command {
        Command::Lend { pubkey, tokens } => {
            wait(ledger.lend(pubkey, tokens.map(Credits::saturating), now))??;
            match tokens {
                Some(tokens) => print(&format!("{pubkey} may owe this node up to {tokens} credits\n"))?,
                None => print(&format!("the settings decide again what {pubkey} may owe\n"))?,
            }
        }
        Command::Block { pubkey } => {
            wait(ledger.block(pubkey, now))??;
            print(&format!("nothing is taken from {pubkey} any more\n"))?;
        }
        Command::Unblock { pubkey } => {
            wait(ledger.unblock(pubkey, now))??;
            print(&format!("work is taken from {pubkey} again\n"))?;
        }
        Command::Forgive { pubkey, credits, order } => forgive(&ledger, &identity, pubkey, credits, order)?,
        Command::Settle { accept: Some(file), pubkey, credits, yes, .. } => {
            let agreed = accept::Agreed::of(yes, pubkey, credits);
            return accept::run(&ledger, &identity, &file, agreed);
        }
        Command::Settle { pubkey: Some(other), credits: Some(credits), received, .. } => {
            let me = identity.node.node_id();
            let (from, to) = if received { (other, me) } else { (me, other) };
            let id = Uuid::new_v4().to_string();
            let paid = Settlement::paid(from, to, Credits::saturating(credits), id, now);
            sign_and_keep(&ledger, &identity, paid)?;
        }
        Command::Settle { .. } => anyhow::bail!("name a node and a sum, or --accept a statement"),
    }
    ledger.close();
    Ok(ExitCode::SUCCESS)
}

fn wait<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn forgive(
    ledger: &Ledger,
    identity: &Identity,
    debtor: NodeId,
    credits: u64,
    order: Option<Uuid>,
) -> anyhow::Result<()> {
    let (me, now) = (identity.node.node_id(), clock::now());
    let (id, order) = (Uuid::new_v4().to_string(), order.map(|order| order.to_string()));
    let forgiven = Settlement::forgiven(debtor, me, Credits::saturating(credits), order, id, now);
    sign_and_keep(ledger, identity, forgiven)
}

/// Signs as the side that this node is, keeps it, and prints it for the other side.
fn sign_and_keep(ledger: &Ledger, identity: &Identity, settlement: Settlement) -> anyhow::Result<()> {
    let half = if settlement.to == identity.node.node_id() {
        SettlementHalf::Creditor(Verified::sign(ByCreditor(settlement), &identity.node)?)
    } else {
        SettlementHalf::Debtor(Verified::sign(ByDebtor(settlement), &identity.node)?)
    };
    let json = half.to_json();
    let settled = wait(ledger.settle(half, clock::now()))??;
    eprintln!(
        "{}",
        match settled {
            Settled::Moved => "the balance has moved",
            Settled::Waiting =>
                "nothing has moved yet: the other side has to sign too (lobstah credit settle --accept FILE)",
            Settled::Already => "this was on the books before",
        }
    );
    print(&format!("{json}\n"))
}
