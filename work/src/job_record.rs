//! What polling a job says (SPEC section 6), at the gateway and at the worker.

use crate::metadata::Metadata;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits.
    Queued,
    /// It is being worked at.
    Running,
    /// It has a result.
    Done,
    /// It has none and will have none.
    Error,
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// In code: `cancelled`, `expired`, `worker_restarted`, `upstream_error` ...
    #[serde(rename = "type")]
    pub kind: String,
    /// In words.
    pub message: String,
}

impl JobError {
    /// One of ours.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into() }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new("cancelled", "the job was cancelled")
    }
}

/// A job as polling shows it. Times are Unix milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    /// Its name.
    pub job_id: String,
    /// How far it is.
    pub status: JobStatus,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The answer, as the engine gave it; absent once it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// What came with the submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// On the worker's side, `{"receipt","signature"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_receipt: Option<Box<RawValue>>,
}

/// JSON that we wrote ourselves. What is damaged is left out.
pub(crate) fn raw(text: Option<String>) -> Option<Box<RawValue>> {
    RawValue::from_string(text?).ok()
}
