//! `lobstah credit settle --accept FILE`: another's statement is read out before it is signed.

use super::{sign_and_keep, wait};
use crate::{clock, commands::print};
use anyhow::Context;
use ledger::{Ledger, Settlement, SettlementHalf, SettlementKind};
use protocol::{Credits, Identity, NodeId};
use std::{io::Read, path::Path, process::ExitCode};

/// A statement is shorter by far.
const BYTES_MAX: u64 = 64 * 1024;

/// What the owner said that the statement says.
#[derive(Clone, Copy)]
pub(super) enum Agreed {
    /// Nothing yet: it is to be shown.
    NotYet,
    /// It is with this node, and over so many credits.
    To { other: NodeId, credits: u64 },
    /// Whatever it says.
    ToAll,
}

impl Agreed {
    pub(super) fn of(yes: bool, other: Option<NodeId>, credits: Option<u64>) -> Self {
        match (other, credits) {
            // What is named has to be so, whatever else is agreed to.
            (Some(other), Some(credits)) => Self::To { other, credits },
            _ if yes => Self::ToAll,
            _ => Self::NotYet,
        }
    }
}

/// Signs and keeps it if that is agreed to; otherwise says what it says, and fails.
pub(super) fn run(
    ledger: &Ledger,
    identity: &Identity,
    file: &Path,
    agreed: Agreed,
) -> anyhow::Result<ExitCode> {
    let half = read(file)?;
    let me = identity.node.node_id();
    let other = match (half.from == me, half.to == me) {
        (true, false) => half.to,
        (false, true) => half.from,
        _ => anyhow::bail!("the settlement is between other nodes"),
    };
    if half.signer() == me {
        anyhow::bail!("this node has signed it itself: have the other side accept it");
    }
    let says = in_words(&half, me);
    match agreed {
        Agreed::NotYet => {
            let credits = half.credits;
            print(&format!(
                "{says}\nnothing is signed yet. To agree, say whose it is and how much:\n  \
                 lobstah credit settle {other} {credits} --accept FILE\n"
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        Agreed::To { other: expected, credits } if expected != other || half.credits.get() != credits => {
            anyhow::bail!("the statement says something else, and is not signed: {says}");
        }
        Agreed::To { .. } | Agreed::ToAll => eprintln!("{says}"),
    }
    let settlement = Settlement::clone(&half);
    wait(ledger.settle(half, clock::now()))??;
    sign_and_keep(ledger, identity, settlement)?;
    ledger.close();
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<SettlementHalf> {
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX).read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text))
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    SettlementHalf::parse(text.trim_ascii()).context("this is no settlement that its side has signed")
}

/// What the other side has signed: who, which way, how much.
fn in_words(settlement: &Settlement, me: NodeId) -> String {
    let Settlement { from, to, credits, .. } = settlement;
    let of = settlement.order_id.as_ref().map(|order| format!(" for order {order}")).unwrap_or_default();
    match (settlement.kind, *to == me) {
        (SettlementKind::Settle, true) => {
            format!("{from} says that it paid this node {}: it owes this node so much less", sum(*credits))
        }
        (SettlementKind::Settle, false) => {
            format!("{to} says that this node paid it {}: this node owes it so much less", sum(*credits))
        }
        (SettlementKind::Forgive, true) => {
            format!("{from} says that this node forgives it {}{of}", sum(*credits))
        }
        (SettlementKind::Forgive, false) => {
            format!("{to} forgives this node {}{of}: this node owes it so much less", sum(*credits))
        }
    }
}

fn sum(credits: Credits) -> String {
    let plural = if credits.get() == 1 { "" } else { "s" };
    format!("{credits} credit{plural}")
}
