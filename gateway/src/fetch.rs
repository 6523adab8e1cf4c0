//! A small question at a peer, through the same checked door as everything that goes to peers.

use crate::target::{Connections, Destination, innermost};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use pingora_http::RequestHeader;
use std::time::Duration;

/// The whole exchange, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A longer answer is given up.
const BYTES_MAX: usize = 1024 * 1024;

/// Why there is no answer, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

/// What a peer answered.
pub struct Fetched {
    pub status: u16,
    pub body: Vec<u8>,
}

/// A small question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub method: Method,
    /// Below the destination's base.
    pub path: &'a str,
    /// Besides those that every question has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl<'a> Question<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: Bytes::new() }
    }

    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Gets `path` below the destination's base, with a key where it wants one.
pub async fn get(
    connections: &Connections,
    to: &Destination,
    path: &str,
    authorization: Option<&HeaderValue>,
) -> Result<Fetched, FetchError> {
    let mut question = Question::get(path);
    question.headers.extend(authorization.map(|key| (header::AUTHORIZATION, key.clone())));
    ask(connections, to, question).await
}

/// Asks, and waits a few seconds for the whole answer.
pub async fn ask(
    connections: &Connections,
    to: &Destination,
    question: Question<'_>,
) -> Result<Fetched, FetchError> {
    match tokio::time::timeout(TIMEOUT, exchange(connections, to, question)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchange(
    connections: &Connections,
    to: &Destination,
    question: Question<'_>,
) -> Result<Fetched, FetchError> {
    // New each time: it is asked rarely, and a dead pooled connection would look like a dead peer.
    let mut connection = connections.open(to, true).await.map_err(|error| FetchError(error.to_string()))?;
    let trouble = |error: Box<pingora_core::Error>| FetchError(innermost(&error));
    let path = format!("{}{}", to.base_path, question.path);
    let request = RequestHeader::build_no_case(question.method, path.as_bytes(), Some(6));
    let mut request = request.map_err(trouble)?;
    request.insert_header(header::HOST, to.authority.as_str()).map_err(trouble)?;
    request.insert_header(header::ACCEPT, "application/json").map_err(trouble)?;
    request.insert_header(header::ACCEPT_ENCODING, "identity").map_err(trouble)?;
    for (name, value) in question.headers {
        request.insert_header(name, value).map_err(trouble)?;
    }
    if !question.body.is_empty() {
        request.insert_header(header::CONTENT_TYPE, "application/json").map_err(trouble)?;
        request.insert_header(header::CONTENT_LENGTH, question.body.len()).map_err(trouble)?;
    }
    connection.session.write_request_header(Box::new(request)).await.map_err(trouble)?;
    if !question.body.is_empty() {
        connection.session.write_request_body(question.body, true).await.map_err(trouble)?;
    }
    connection.session.finish_request_body().await.map_err(trouble)?;
    connection.session.read_response_header().await.map_err(trouble)?;
    let status = connection.session.response_header().map_or(0, |response| response.status.as_u16());
    let mut body = Vec::new();
    while let Some(chunk) = connection.session.read_response_body().await.map_err(trouble)? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(FetchError(format!("an answer longer than {BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    connections.give_back(connection).await;
    Ok(Fetched { status, body })
}
