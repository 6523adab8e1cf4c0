//! What a request says that is to be run as a job: the same to a gateway and to a worker (SPEC section 6).

use crate::{downstream::Downstream, failure::Failure};
use bytes::Bytes;
use protocol::carriers::ENDPOINT_HEADER;
use upstream_ollama::without_metadata;
use work::{Endpoint, Metadata};

/// The endpoint that the job would be for if somebody waited for it: chat completions where no header says
/// another.
pub fn endpoint(down: &Downstream) -> Result<Endpoint, Failure> {
    let Some(named) = down.header(ENDPOINT_HEADER) else { return Ok(Endpoint::ChatCompletions) };
    Endpoint::from_path(named).ok_or_else(|| {
        let paths = Endpoint::ALL.map(Endpoint::path).join(", ");
        Failure::invalid_value(ENDPOINT_HEADER, format!("`{ENDPOINT_HEADER}` is one of {paths}"))
    })
}

/// The `metadata`, which stays with the record of the job, and the body that the engine is to get.
pub fn split(body: &Bytes) -> Result<(Metadata, Bytes), Failure> {
    let (metadata, body) = without_metadata(body)?;
    let metadata = metadata.map(|json| serde_json::from_slice(&json)).transpose();
    let metadata = metadata.map_err(|error| {
        Failure::invalid_value("metadata", format!("`metadata` maps texts to texts: {error}"))
    })?;
    Ok((metadata.unwrap_or_default(), body))
}
