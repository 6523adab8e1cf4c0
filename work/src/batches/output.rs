//! The lines that a batch writes, as OpenAI's `BatchRequestOutput`.

use serde::Serialize;
use serde_json::value::RawValue;

/// One line of the output file or of the error file.
#[derive(Debug, Serialize)]
pub(super) struct OutputLine<'a> {
    /// `batch_req_` and what no other line has.
    pub(super) id: String,
    pub(super) custom_id: &'a str,
    pub(super) response: Option<OutputResponse<'a>>,
    pub(super) error: Option<OutputError<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct OutputResponse<'a> {
    pub(super) status_code: u64,
    pub(super) request_id: &'a str,
    pub(super) body: &'a RawValue,
}

#[derive(Debug, Serialize)]
pub(super) struct OutputError<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}
