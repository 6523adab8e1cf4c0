//! What is wrong with an input file.

use crate::limits::QUOTED_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// OpenAI's `BatchError`: what fails a batch before it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In code.
    pub code: String,
    /// In words.
    pub message: String,
    /// The field that it is about, if it is about one.
    pub param: Option<String>,
    /// The line that it stands in, counted from 1, if it stands in one.
    pub line: Option<u64>,
}

impl Problem {
    pub(crate) fn of_file(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), param: None, line: None }
    }

    pub(crate) fn of_field(code: &str, param: &str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), ..Self::of_file(code, message) }
    }

    pub(crate) fn missing(param: &str) -> Self {
        let message = format!("`{param}` is missing, every line needs it");
        Self::of_field("missing_required_parameter", param, message)
    }

    pub(crate) fn on_line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }
}

/// The beginning of what a tool wrote, to show in a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut end = text.len().min(QUOTED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (shown, rest) = text.split_at(end);
    format!("{shown:?}{}", if rest.is_empty() { "" } else { "…" })
}
