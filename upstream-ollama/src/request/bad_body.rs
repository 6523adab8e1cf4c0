//! Why a body is refused.

/// What is wrong with a request's body. All of these answer 400 (SPEC section 7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Line and column count from 1; the column counts bytes.
    #[error("the request's body is not valid JSON: {why}, at line {line}, column {column}")]
    NotJson { line: usize, column: usize, why: String },
    #[error(
        "the request's body must be a JSON object, such as {{\"model\": \"llama3.1:8b\", \"messages\": []}}"
    )]
    NotAnObject,
    #[error("name the `model` to use; GET /v1/models lists those that can be reached")]
    MissingModel,
    #[error("`{param}` {why}")]
    InvalidValue { param: String, why: String },
}

impl BadBody {
    /// The `code` of OpenAI's error object.
    pub fn code(&self) -> &'static str {
        match self {
            BadBody::NotJson { .. } | BadBody::NotAnObject => "invalid_json",
            BadBody::MissingModel => "missing_model",
            BadBody::InvalidValue { .. } => "invalid_value",
        }
    }

    /// The `param` of OpenAI's error object: the field to mend.
    pub fn param(&self) -> Option<&str> {
        match self {
            BadBody::NotJson { .. } | BadBody::NotAnObject => None,
            BadBody::MissingModel => Some("model"),
            BadBody::InvalidValue { param, .. } => Some(param),
        }
    }

    pub(super) fn invalid(param: &str, why: impl Into<String>) -> BadBody {
        BadBody::InvalidValue { param: param.to_owned(), why: why.into() }
    }

    pub(super) fn not_json(error: &serde_json::Error) -> BadBody {
        let (line, column) = (error.line(), error.column());
        let mut why = error.to_string();
        if let Some(position) = why.rfind(" at line ") {
            why.truncate(position);
        }
        BadBody::NotJson { line, column, why }
    }

    pub(super) fn not_utf8(body: &[u8], good: usize) -> BadBody {
        let good = &body[..good];
        let line = memchr::memchr_iter(b'\n', good).count() + 1;
        let column = good.len() - memchr::memrchr(b'\n', good).map_or(0, |at| at + 1) + 1;
        BadBody::NotJson { line, column, why: "a byte that is not UTF-8".to_owned() }
    }
}
