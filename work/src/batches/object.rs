//! A batch as OpenAI shows it.

use super::{
    check::Problem,
    lifecycle::{BatchStatus, Counts},
};
use crate::metadata::Metadata;
use serde::{Deserialize, Serialize};

/// OpenAI's `Batch` object. Times are Unix seconds; what has not happened is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// `batch_` and random digits.
    pub id: String,
    /// Always `batch`.
    pub object: String,
    /// The path that its lines are for.
    pub endpoint: String,
    /// The model, where all lines ask for the same.
    pub model: Option<String>,
    /// Why it failed.
    pub errors: Option<BatchErrors>,
    /// The file with its lines.
    pub input_file_id: String,
    /// As the tool gave it.
    pub completion_window: String,
    /// Its state.
    pub status: BatchStatus,
    /// Good answers; null if there are none.
    pub output_file_id: Option<String>,
    /// Errors; null if there are none.
    pub error_file_id: Option<String>,
    /// When it was created.
    pub created_at: u64,
    /// When its lines were queued.
    pub in_progress_at: Option<u64>,
    /// When its completion window is over.
    pub expires_at: Option<u64>,
    /// When its last line was answered, or its time was over.
    pub finalizing_at: Option<u64>,
    /// When it ended in this way.
    pub completed_at: Option<u64>,
    /// When it ended in this way.
    pub failed_at: Option<u64>,
    /// When it ended in this way.
    pub expired_at: Option<u64>,
    /// When its owner cancelled it.
    pub cancelling_at: Option<u64>,
    /// When it ended in this way.
    pub cancelled_at: Option<u64>,
    /// How many of its lines are answered.
    pub request_counts: Counts,
    /// What the good answers took.
    pub usage: BatchUsage,
    /// As the tool gave it.
    pub metadata: Option<Metadata>,
}

/// OpenAI's list of what is wrong with an input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchErrors {
    /// Always `list`.
    pub object: String,
    /// What is wrong.
    pub data: Vec<Problem>,
}

impl BatchErrors {
    pub(crate) fn new(data: Vec<Problem>) -> Self {
        Self { object: "list".to_owned(), data }
    }
}

/// OpenAI's sums of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchUsage {
    /// Of prompts.
    pub input_tokens: u64,
    /// Part of them.
    pub input_tokens_details: InputDetails,
    /// Of answers.
    pub output_tokens: u64,
    /// Part of them.
    pub output_tokens_details: OutputDetails,
    /// Both.
    pub total_tokens: u64,
}

/// See [`BatchUsage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDetails {
    /// Found in a prompt cache.
    pub cached_tokens: u64,
}

/// See [`BatchUsage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDetails {
    /// Reasoning.
    pub reasoning_tokens: u64,
}
