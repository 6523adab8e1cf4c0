//! The paperwork of batches: reading the lines of new ones, ending those whose time is over, writing the
//! files of those that are done. One at a time: each may take seconds of disk and processor.

use crate::{clock, node::Node};
use std::{fmt::Display, time::Duration};
use work::batches::{ValidateError, WriteError};

/// How often it is looked for some, besides when a batch was created.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After something failed (the disk is full, say) it is left alone for so long.
const REST: Duration = Duration::from_secs(10);

/// Does it until the node stops. What is broken off is done again by the next process.
pub async fn run(node: &Node) {
    let work = async {
        loop {
            let pause = if step(node).await { LOOK_EVERY } else { REST };
            let _ = tokio::time::timeout(pause, node.validate_now.notified()).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = node.stopping.cancelled() => {}
    }
}

/// Does what there is now; false if some of it failed.
async fn step(node: &Node) -> bool {
    let batches = node.work.batches();
    let mut well =
        went_well("ending batches whose time is over", batches.expire(clock::now()).await.map(drop));
    for id in listed(batches.to_validate().await, &mut well) {
        let validated = match batches.validate(&id, clock::now()).await {
            // Another process does it, or its owner cancelled it.
            Err(ValidateError::NotValidating | ValidateError::Busy) => continue,
            validated => validated,
        };
        well &= went_well(
            &format!("reading the lines of {id}"),
            validated.map(|how| {
                node.work_now.notify_one();
                tracing::info!(batch = id, ?how, "the lines of a batch were read");
            }),
        );
    }
    for id in listed(batches.to_write().await, &mut well) {
        let written = match batches.write(&id, clock::now()).await {
            Err(WriteError::NotReady | WriteError::Busy) => continue,
            written => written,
        };
        well &= went_well(
            &format!("writing the files of {id}"),
            written.map(|status| {
                tracing::info!(batch = id, ?status, "a batch is over");
            }),
        );
    }
    well
}

fn listed(ids: Result<Vec<String>, work::StoreError>, well: &mut bool) -> Vec<String> {
    let ids = ids.map_err(|error| *well &= went_well("looking for batches", Err(error)));
    ids.unwrap_or_default()
}

fn went_well(what: &str, done: Result<(), impl Display>) -> bool {
    if let Err(error) = &done {
        tracing::error!(%error, "{what} failed and is tried again");
    }
    done.is_ok()
}
