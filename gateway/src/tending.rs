//! The background work on jobs and batches: what was left over is taken up at the start, what lapsed or
//! expired is noticed, and three loops work: [`lending`] on what others gave, [`spread`] on what waits here,
//! [`paperwork`] on the files of batches.

use crate::{asynchronous::paperwork, clock, lending, node::Node, spread};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked for what dead processes held, and what is over.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Works until the node stops. A node works on what others gave it once it serves others.
pub async fn run(node: &Node) {
    // What a dead process held is taken up before anything new is.
    tidy(node).await;
    let lending = async {
        let mut sharing = node.sharing.changes();
        let shares = async { sharing.wait_for(Option::is_some).await.is_ok() };
        if node.stopping.run_until_cancelled(shares).await == Some(true) {
            lending::run(node).await;
        }
    };
    tokio::join!(keep_tidy(node), lending, spread::run(node), paperwork::run(node));
}

async fn keep_tidy(node: &Node) {
    let mut tick = interval(TIDY_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => tidy(node).await,
            () = node.stopping.cancelled() => return,
        }
    }
}

async fn tidy(node: &Node) {
    if let Err(error) = node.work.sweep(clock::now()).await {
        tracing::warn!(%error, "what dead processes left is not taken up now");
    }
}
