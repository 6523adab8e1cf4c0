//! Several workers, a gateway that has them for friends, and the books of all of them.

use crate::{Engine, Node, Setup, engine, eventually_within};
use futures::future::join_all;
use std::{collections::HashSet, time::Duration};

/// Acknowledgements are brought in the background, and the machine has other things to do.
const BOOKS_AGREE_WITHIN: Duration = Duration::from_secs(120);

/// A worker and its engine.
#[derive(Debug)]
pub struct Worker {
    pub engine: Engine,
    pub node: Node,
}

impl Worker {
    pub async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    pub async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let engine = engine();
        let node = change(Node::worker(&engine)).start().await;
        Self { engine, node }
    }

    /// Requests that its engine got.
    pub fn asked(&self) -> u64 {
        self.engine.handle.counts().received
    }
}

/// So many workers.
pub async fn workers<const N: usize>() -> [Worker; N] {
    let started = join_all((0..N).map(|_| Worker::start())).await;
    started.try_into().unwrap_or_else(|_| unreachable!("as many as were started"))
}

/// A gateway that is to have these for friends.
pub fn gateway_of<'w>(workers: impl IntoIterator<Item = &'w Worker>) -> Setup {
    workers.into_iter().fold(Node::gateway(), |setup, worker| setup.friend(&worker.node))
}

/// Waits until what each worker says of this gateway is what that says itself, and nothing is open any more.
/// Gives what the gateway owes, all together.
pub async fn books_agree(gateway: &Node, workers: impl IntoIterator<Item = &Node>) -> u64 {
    let mut sum = 0;
    for worker in workers {
        sum += eventually_within(
            BOOKS_AGREE_WITHIN,
            Duration::from_millis(500),
            "both books agree",
            async || {
                let ours = gateway.home().standing(worker.id).await;
                let theirs = worker.home().standing(gateway.id).await;
                let nothing_open = theirs["claimed"] == 0 && theirs["reserved"] == 0;
                let agree = ours["owedByMe"] == theirs["owedToMe"] && nothing_open;
                agree.then(|| theirs["owedToMe"].as_u64().unwrap())
            },
        )
        .await;
        worker.home().assert_audit_is_clean().await;
    }
    gateway.home().assert_audit_is_clean().await;
    sum
}

/// How many orders were charged, each of them once.
pub async fn orders_charged(node: &Node) -> usize {
    let receipts = node.home().receipts().await;
    let jobs: HashSet<&str> = receipts.iter().map(|one| one["receipt"]["jobId"].as_str().unwrap()).collect();
    assert_eq!(jobs.len(), receipts.len(), "an order was charged twice");
    jobs.len()
}
