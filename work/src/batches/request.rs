//! OpenAI's request to create a batch, and what its metadata means here.

use super::window::{BadWindow, CompletionWindow};
use crate::{
    endpoint::Endpoint,
    idempotency::Idempotency,
    json_line::object,
    limits::{FILE_LIFE_SECONDS, NAME_BYTES_MAX},
    metadata::Metadata,
};
use protocol::Credits;
use serde::Deserialize;
use serde_json::Value;

/// A batch to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// The file with its lines.
    pub input_file: String,
    /// What its lines are for.
    pub endpoint: Endpoint,
    /// In which time.
    pub window: CompletionWindow,
    /// As the tool gave it.
    pub metadata: Metadata,
    /// How long its files live, from when they are written.
    pub output_life_seconds: Option<u64>,
    /// `metadata.max_credits`: it never spends more.
    pub max_credits: Option<Credits>,
    /// `metadata.to`: where of the routes of their models its lines may go; else all of them.
    pub to: Option<Vec<String>>,
    /// `metadata.hedge`: slow lines at its end may be tried a second time.
    pub hedge: bool,
    /// With which key it came.
    pub idempotency: Option<Idempotency>,
}

/// What is wrong with a request: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// The field.
    pub param: String,
    /// What to do.
    pub message: String,
}

impl BadRequest {
    fn new(param: &str, message: impl Into<String>) -> Self {
        Self { param: param.to_owned(), message: message.into() }
    }
}

#[derive(Deserialize)]
struct Raw {
    input_file_id: Option<String>,
    endpoint: Option<String>,
    completion_window: Option<String>,
    metadata: Option<Metadata>,
    output_expires_after: Option<RawExpiry>,
}

#[derive(Deserialize)]
struct RawExpiry {
    anchor: Option<String>,
    seconds: Option<Value>,
}

impl NewBatch {
    /// Reads the body of `POST /v1/batches`. Fields that we do not know are let be.
    pub fn parse(body: &[u8], idempotency: Option<Idempotency>) -> Result<Self, BadRequest> {
        let raw: Raw = object(body)
            .map_err(|error| BadRequest::new("", format!("the body is no request for a batch: {error}")))?;
        let missing = |param: &str| BadRequest::new(param, format!("`{param}` is missing"));
        let metadata = raw.metadata.unwrap_or_default();
        Ok(Self {
            input_file: raw.input_file_id.ok_or_else(|| missing("input_file_id"))?,
            endpoint: endpoint(&raw.endpoint.ok_or_else(|| missing("endpoint"))?)?,
            window: raw
                .completion_window
                .ok_or_else(|| missing("completion_window"))?
                .parse()
                .map_err(|error: BadWindow| BadRequest::new("completion_window", error.to_string()))?,
            output_life_seconds: raw.output_expires_after.map(life).transpose()?,
            max_credits: max_credits(&metadata)?,
            to: to(&metadata)?,
            hedge: hedge(&metadata)?,
            metadata,
            idempotency,
        })
    }
}

fn endpoint(path: &str) -> Result<Endpoint, BadRequest> {
    let paths = || Endpoint::ALL.map(Endpoint::path).join(", ");
    Endpoint::from_path(path)
        .ok_or_else(|| BadRequest::new("endpoint", format!("`endpoint` is one of {}", paths())))
}

fn life(raw: RawExpiry) -> Result<u64, BadRequest> {
    let param = "output_expires_after";
    if raw.anchor.as_deref() != Some("created_at") {
        return Err(BadRequest::new(param, "`output_expires_after.anchor` is `created_at`"));
    }
    let seconds = raw.seconds.and_then(|seconds| seconds.as_u64()).filter(|s| FILE_LIFE_SECONDS.contains(s));
    let (least, most) = (FILE_LIFE_SECONDS.start(), FILE_LIFE_SECONDS.end());
    let message = || format!("`output_expires_after.seconds` is between {least} and {most}");
    seconds.ok_or_else(|| BadRequest::new(param, message()))
}

fn max_credits(metadata: &Metadata) -> Result<Option<Credits>, BadRequest> {
    let Some(text) = metadata.get("max_credits") else { return Ok(None) };
    let credits = text.parse().ok().and_then(Credits::new);
    let message = "`metadata.max_credits` is a whole number of credits";
    credits.map(Some).ok_or_else(|| BadRequest::new("metadata.max_credits", message))
}

fn to(metadata: &Metadata) -> Result<Option<Vec<String>>, BadRequest> {
    let Some(text) = metadata.get("to") else { return Ok(None) };
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().all(|name| (1..=NAME_BYTES_MAX).contains(&name.len())) {
        return Ok(Some(names));
    }
    let message = "`metadata.to` is a list like `local,friends`, as a route has it";
    Err(BadRequest::new("metadata.to", message))
}

fn hedge(metadata: &Metadata) -> Result<bool, BadRequest> {
    match metadata.get("hedge") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(BadRequest::new("metadata.hedge", "`metadata.hedge` is `true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<NewBatch, BadRequest> {
        NewBatch::parse(body.as_bytes(), None)
    }

    #[test]
    fn what_openais_tools_send_is_read() {
        let batch = parse(
            r#"{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":
            {"hedge":"true","max_credits":"900","to":"local, friends","mine":"x"},
            "output_expires_after":{"anchor":"created_at","seconds":3600},"new_field":1}"#,
        )
        .unwrap();
        assert_eq!((batch.endpoint, batch.hedge), (Endpoint::ChatCompletions, true));
        assert_eq!((batch.max_credits, batch.output_life_seconds), (Credits::new(900), Some(3600)));
        assert_eq!(batch.to.unwrap(), ["local", "friends"]);
        assert_eq!(batch.metadata.get("mine"), Some("x"));
    }

    #[test]
    fn each_mistake_names_its_field() {
        let with = |more: &str| {
            let body = format!(
                r#"{{"input_file_id":"f","endpoint":"/v1/embeddings","completion_window":"24h"{more}}}"#
            );
            parse(&body).map_err(|error| error.param)
        };
        assert!(with("").is_ok());
        let bad = |more: &str| with(more).unwrap_err();
        assert_eq!(bad(r#","metadata":{"max_credits":"-1"}"#), "metadata.max_credits");
        assert_eq!(bad(r#","metadata":{"hedge":"yes"}"#), "metadata.hedge");
        assert_eq!(bad(r#","metadata":{"to":"a,,b"}"#), "metadata.to");
        assert_eq!(
            bad(r#","output_expires_after":{"anchor":"created_at","seconds":1}"#),
            "output_expires_after"
        );
        let of = |body: &str| parse(body).unwrap_err().param;
        assert_eq!(of("[]"), "");
        assert_eq!(of(r#"{"input_file_id":"f"}"#), "endpoint");
        assert_eq!(of(r#"{"input_file_id":"f","endpoint":"/v1/images"}"#), "endpoint");
    }
}
