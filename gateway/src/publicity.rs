//! Receipts made public, where the owner wants that (`discovery.publish_receipts`): those that this node
//! signed as a worker, from the moment on at which it was switched on.

use crate::{clock, node::Node};
use config::Discovery;
use discovery::{public_receipts::receipt_event, relays::Relays};
use futures::future::join_all;
use ledger::{Entry, Origin};
use nostr_sdk::{Event, Keys};
use protocol::{Receipt, Signed};
use std::{fs, io, path::Path, time::Duration};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// How often it is looked for new ones.
const EVERY: Duration = Duration::from_secs(2);

/// So many go out each time: relays shut out who floods them.
const AT_ONCE: usize = 16;

/// Publishes until `leaving`. Where no relay can be reached they wait.
pub async fn run(node: &Node, config: &Discovery, relays: &Relays, keys: &Keys, leaving: &CancellationToken) {
    let file = node.paths.published();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = leaving.cancelled() => return,
        }
        tokio::select! {
            done = publish_some(node, config, relays, keys, &file) => {
                if let Err(error) = done {
                    tracing::warn!(error = format!("{error:#}"), "receipts are not made public now");
                }
            }
            () = leaving.cancelled() => return,
        }
    }
}

async fn publish_some(
    node: &Node,
    config: &Discovery,
    relays: &Relays,
    keys: &Keys,
    file: &Path,
) -> anyhow::Result<()> {
    let Some(published) = place(file)? else {
        // What was before it was wanted stays private.
        let newest = node.ledger.read(ledger::Reader::newest).await??;
        return Ok(keep(file, newest)?);
    };
    let entries = node.ledger.read(move |reader| reader.after(published, AT_ONCE)).await??;
    let mut reached = published;
    for entry in &entries {
        if let Some(event) = event(entry, keys)
            && !taken_by_any(relays, config, &event).await
        {
            break;
        }
        reached = entry.seq;
    }
    if reached != published {
        keep(file, reached)?;
    }
    Ok(())
}

/// `None` for what this node did not sign, or nobody would read.
fn event(entry: &Entry, keys: &Keys) -> Option<Event> {
    if entry.origin != Origin::Served {
        return None;
    }
    let receipt = Signed::<Receipt>::parse(entry.signed.as_bytes()).and_then(Signed::verify).ok()?;
    receipt_event(&receipt, keys, clock::now().as_millis() / 1000)
}

/// Whether it is at one relay at least, or was refused by all that are there: then it stays private.
async fn taken_by_any(relays: &Relays, config: &Discovery, event: &Event) -> bool {
    let sent = join_all(config.relays.iter().map(|url| relays.send(url, event))).await;
    let answered = |result: &Result<(), discovery::relays::NotSent>| match result {
        Ok(()) => true,
        Err(discovery::relays::NotSent::Refused(why)) => {
            tracing::debug!(why, "a relay does not take a receipt");
            true
        }
        Err(_) => false,
    };
    sent.iter().any(answered)
}

/// Up to which entry of the ledger they are public.
fn place(file: &Path) -> anyhow::Result<Option<u64>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn keep(file: &Path, place: u64) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, format!("{place}\n"))?;
    fs::rename(&beside, file)
}
