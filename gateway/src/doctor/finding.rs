//! What a check found.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Works, and may not be what the owner wants.
    Warning,
    Failed,
    /// Not checked, because it is not used.
    Off,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `identity`, `ollama`, `relay` …
    pub check: &'static str,
    pub state: State,
    pub what: String,
    /// The command or the line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Ok, what: what.into(), mend: None }
    }

    pub fn off(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Off, what: what.into(), mend: None }
    }

    pub fn warning(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Warning, what: what.into(), mend: Some(mend.into()) }
    }

    pub fn failed(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Failed, what: what.into(), mend: Some(mend.into()) }
    }
}
