//! One line of an input file: what it asks for, or what is wrong with it.

use super::problem::{Problem, quoted};
use crate::{endpoint::Endpoint, json_line::object, limits::CUSTOM_ID_BYTES_MAX, opening::Opening};
use protocol::ModelName;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow, default)]
    custom_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawBody<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
}

/// What a good line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GoodLine {
    pub(super) custom_id: String,
    pub(super) endpoint: Endpoint,
    pub(super) model: ModelName,
    pub(super) opening: Opening,
}

/// Reads a line. `endpoint` is the batch's, where it is known.
pub(super) fn read(line: &[u8], endpoint: Option<Endpoint>) -> Result<GoodLine, Problem> {
    let raw: RawLine<'_> = object(line).map_err(|error| {
        Problem::of_file(
            "invalid_json_line",
            format!("the line is not a JSON object as it should be: {error}"),
        )
    })?;
    let custom_id = custom_id(raw.custom_id)?;
    method(raw.method)?;
    let endpoint = url(raw.url, endpoint)?;
    let body = raw.body.ok_or_else(|| Problem::missing("body"))?;
    let (model, opening) = read_body(endpoint, body.get().as_bytes())?;
    Ok(GoodLine { custom_id, endpoint, model, opening })
}

/// What a request asks for, and with which words it opens.
pub(crate) fn read_body(endpoint: Endpoint, body: &[u8]) -> Result<(ModelName, Opening), Problem> {
    let raw: RawBody<'_> = object(body)
        .map_err(|error| Problem::of_field("invalid_value", "body", format!("not a request: {error}")))?;
    let stream = raw.stream.map(|stream| serde_json::from_str::<Option<bool>>(stream.get()));
    if !matches!(stream, None | Some(Ok(None | Some(false)))) {
        let message = "answers of jobs and batches come whole, leave `stream` out";
        return Err(Problem::of_field("invalid_value", "body.stream", message));
    }
    let model = raw.model.ok_or_else(|| Problem::missing("body.model"))?;
    let model = serde_json::from_str::<ModelName>(model.get()).map_err(|error| {
        Problem::of_field("invalid_value", "body.model", format!("no model name: {error}"))
    })?;
    Ok((model, Opening::of(endpoint, raw.messages, raw.prompt)))
}

/// The request in a line that was checked, byte for byte.
pub fn body_of(line: &[u8]) -> Option<&[u8]> {
    let raw: RawLine<'_> = object(line).ok()?;
    Some(raw.body?.get().as_bytes())
}

fn custom_id(raw: Option<&RawValue>) -> Result<String, Problem> {
    let raw = raw.ok_or_else(|| Problem::missing("custom_id"))?;
    let id = text(raw).filter(|id| (1..=CUSTOM_ID_BYTES_MAX).contains(&id.len()));
    let message = || format!("`custom_id` is a text of 1 to {CUSTOM_ID_BYTES_MAX} bytes");
    id.map(Cow::into_owned).ok_or_else(|| Problem::of_field("invalid_value", "custom_id", message()))
}

fn method(raw: Option<&RawValue>) -> Result<(), Problem> {
    let raw = raw.ok_or_else(|| Problem::missing("method"))?;
    match text(raw).as_deref() {
        Some("POST") => Ok(()),
        _ => Err(Problem::of_field("invalid_method", "method", "`method` is `POST`")),
    }
}

fn url(raw: Option<&RawValue>, wanted: Option<Endpoint>) -> Result<Endpoint, Problem> {
    let raw = raw.ok_or_else(|| Problem::missing("url"))?;
    let url = text(raw).unwrap_or(Cow::Borrowed(raw.get()));
    match (Endpoint::from_path(&url), wanted) {
        (Some(found), Some(wanted)) if found != wanted => {
            let message = format!("the batch is for {}, this line for {}", wanted.path(), found.path());
            Err(Problem::of_field("invalid_url", "url", message))
        }
        (Some(found), _) => Ok(found),
        (None, _) => {
            let paths = Endpoint::ALL.map(Endpoint::path).join(", ");
            let message = format!("{} is none of {paths}", quoted(&url));
            Err(Problem::of_field("invalid_url", "url", message))
        }
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}
