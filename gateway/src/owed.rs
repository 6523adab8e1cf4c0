//! How this node stands with others: friends first, then those with whom most is open.

use crate::{clock, credit};
use config::Config;
use discovery::PeerEntry;
use ledger::{Line, Party, QueryError, Reader, Standing};
use protocol::{NodeId, Timestamp};
use serde::Serialize;
use std::cmp::Reverse;

/// More nodes than this are not shown.
const SHOWN_MAX: usize = 1000;

/// How this node stands with one other, in credits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owed {
    pub pubkey: String,
    pub label: Option<String>,
    pub owed_to_me: u64,
    pub owed_by_me: u64,
    pub claimed: u64,
    pub disputed: u64,
    pub reserved: u64,
    pub line: u64,
    pub available: u64,
}

/// With everybody that the ledger knows, at most [`SHOWN_MAX`].
pub fn with_all(config: &Config, friends: &[PeerEntry], reader: &Reader) -> Result<Vec<Owed>, QueryError> {
    let is_friend = |node| {
        let configured = || config.peers.iter().any(|peer| peer.pubkey == node);
        friends.iter().any(|peer| peer.pubkey == node) || configured()
    };
    let now = clock::now();
    let shown = first(reader, SHOWN_MAX, is_friend)?;
    shown.into_iter().map(|(node, standing)| owed(config, friends, reader, (node, standing), now)).collect()
}

/// The `count` that come first, of all that there are; no more than two pages are held at once.
fn first(
    reader: &Reader,
    count: usize,
    is_friend: impl Fn(NodeId) -> bool,
) -> Result<Vec<(NodeId, Standing)>, QueryError> {
    let mut shown: Vec<(NodeId, Standing)> = Vec::new();
    let mut after = None;
    loop {
        let page = reader.standings(after, count)?;
        let Some((last, _)) = page.last() else { return Ok(shown) };
        after = Some(*last);
        shown.extend(page.into_iter().filter_map(|(who, standing)| match who {
            Party::Node(node) => Some((node, standing)),
            Party::Believed(_) | Party::Anonymous => None,
        }));
        shown.sort_by_cached_key(|(node, standing)| (!is_friend(*node), Reverse(open(standing))));
        shown.truncate(count);
    }
}

/// All that is open between the two, whichever way.
fn open(standing: &Standing) -> u128 {
    let sums = [standing.owed_to_me(), standing.owed_by_me(), standing.claimed, standing.disputed];
    sums.into_iter().map(u128::from).sum()
}

fn owed(
    config: &Config,
    friends: &[PeerEntry],
    reader: &Reader,
    (node, standing): (NodeId, Standing),
    now: Timestamp,
) -> Result<Owed, QueryError> {
    let friend = friends.iter().find(|peer| peer.pubkey == node);
    let line = credit::line_of(config, node, || friend.is_some());
    let lent = match line {
        Line::Friend { limit } => limit,
        Line::Newcomer { allowance, .. } => allowance,
    };
    Ok(Owed {
        pubkey: node.to_string(),
        label: friend.and_then(|peer| peer.label.clone()),
        owed_to_me: standing.owed_to_me(),
        owed_by_me: standing.owed_by_me(),
        claimed: standing.claimed,
        disputed: standing.disputed,
        reserved: standing.reserved,
        line: standing.lent.unwrap_or(lent.get()),
        available: reader.available(Party::Node(node), line, now)?.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Ledger, Origin};
    use protocol::{Credits, Keypair, Receipt, Requester, Usage, Verified, receipt::Nonce};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn key(n: u8) -> Keypair {
        Keypair::from_seed(&[n; 32])
    }

    /// What `worker` did for us.
    fn receipt(me: NodeId, worker: u8, tokens: u64) -> Verified<Receipt> {
        let receipt = Receipt {
            job_id: "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".into(),
            nonce: Nonce([worker; 16]),
            requester: Requester::Node(me),
            worker: key(worker).node_id(),
            model: "practice:latest".parse().unwrap(),
            usage: Usage { input_tokens: tokens, output_tokens: 0 },
            started_at: NOW,
            completed_at: NOW,
            answers: None,
        };
        Verified::sign(receipt, &key(worker)).unwrap()
    }

    #[tokio::test]
    async fn friends_and_debts_come_first_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let me = key(0).node_id();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), me).unwrap();
        for n in 1..=20 {
            ledger.lend(key(n).node_id(), Some(Credits::ZERO), NOW).await.unwrap();
        }
        for (worker, tokens) in [(3, 30), (14, 50), (8, 40)] {
            ledger.post(receipt(me, worker, tokens), Origin::Received, NOW).await.unwrap();
        }
        let reader = ledger.reader().unwrap();
        let shown = |count| -> Vec<NodeId> {
            let first = first(&reader, count, |node| node == key(17).node_id()).unwrap();
            first.into_iter().map(|(node, _)| node).collect()
        };
        let should = [17, 14, 8, 3].map(|n| key(n).node_id());
        assert_eq!(shown(4), should);
        assert_eq!(shown(1000)[..4], should);
        assert_eq!((shown(2).len(), shown(1000).len()), (2, 20));
    }
}
