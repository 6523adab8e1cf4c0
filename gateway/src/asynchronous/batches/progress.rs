//! `GET /batches/{id}/progress` on the owner's socket: how a batch gets on, who works at it and what it
//! costs. `lobstah batch` shows it.

use crate::{asynchronous::refusal, failure::Failure, node::Node};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use work::batches::{Batch, Progress, WorkerProgress};

/// How a batch gets on. Amounts are credits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// As OpenAI shows it.
    pub batch: Batch,
    /// What it has spent, cut answers included.
    pub spent: u64,
    /// What the lines that run may cost.
    pub reserved: u64,
    /// What tries may yet cost whose worker was not heard in the end.
    #[serde(default)]
    pub unheard: u64,
    /// What it may spend; null if it has no bound.
    pub max_credits: Option<u64>,
    /// Who works at it or did, by name.
    pub workers: Vec<Lane>,
}

/// What one worker did and does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// `lob1…`, `local` or an upstream's name.
    pub worker: String,
    /// What its owner, or this one, calls it.
    pub label: String,
    /// Lines that have its answer.
    pub answered: u64,
    /// Lines that it was tried for in vain.
    pub failed: u64,
    /// Lines that it has now.
    pub in_flight: u64,
    /// Answers of which the prompt's opening was in its cache.
    pub warm: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// What it charged.
    pub credits: u64,
    /// Of that, for what is no line's answer: it was cut, or another answered first.
    pub unused: u64,
}

/// See [`Report`].
pub async fn progress(node: &Node, id: &str) -> Result<Value, Failure> {
    let found = node.work.batches().progress(id).await.map_err(refusal::store)?;
    let Progress { batch, spent, reserved, unheard, max_credits, workers, .. } =
        found.ok_or_else(|| refusal::unknown("batch", id))?;
    let workers = workers.into_iter().map(|worker| lane(node, worker)).collect();
    let max_credits = max_credits.map(|max| max.get());
    let [spent, reserved, unheard] = [spent, reserved, unheard].map(|credits| credits.get());
    Ok(json!(Report { batch, spent, reserved, unheard, max_credits, workers }))
}

fn lane(node: &Node, one: WorkerProgress) -> Lane {
    let upstreams = node.upstreams.all();
    let known = upstreams.iter().find(|upstream| upstream.name == one.worker);
    let label = known.map(|upstream| upstream.display_name());
    Lane {
        label: label.unwrap_or_else(|| one.worker.chars().take(SHORT_CHARS).collect()),
        worker: one.worker,
        answered: one.answered,
        failed: one.failed,
        in_flight: one.in_flight,
        warm: one.warm,
        input_tokens: one.input_tokens,
        output_tokens: one.output_tokens,
        credits: one.credits.get(),
        unused: one.unused.get(),
    }
}

/// Of a stranger's key, as in other lists.
const SHORT_CHARS: usize = 14;
