//! A small question at a peer, through the same checked door as everything that goes to peers.

use crate::target::{Connection, Connections, Destination, innermost};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use pingora_http::{RequestHeader, ResponseHeader};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The whole exchange, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A longer answer is given up.
const BYTES_MAX: usize = 1024 * 1024;

/// What is long has a second more for each of so many bytes, on either way: a slow line is no dead one.
const SLOWEST_BYTES_A_SECOND: u64 = 16 * 1024;

/// Why there is no answer, in words.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct FetchError {
    why: String,
    /// There was no connection, so the peer knows nothing of the question.
    pub nothing_was_sent: bool,
}

impl FetchError {
    fn late(timeout: Duration) -> Self {
        Self { why: format!("no answer within {} s", timeout.as_secs()), nothing_was_sent: false }
    }
}

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
    // New each time: it is asked rarely, and a dead pooled connection would look like a dead peer.
    let bounds = Bounds { fresh: true, timeout: TIMEOUT, bytes_max: BYTES_MAX };
    let asked = exchange(connections, to, &question, bounds);
    match timeout(TIMEOUT, asked).await {
        Ok(Ok((response, body))) => Ok(Fetched { status: response.status.as_u16(), body }),
        Ok(Err(trouble)) => Err(trouble.into()),
        Err(_) => Err(FetchError::late(TIMEOUT)),
    }
}

/// Asks what is asked often, over connections that are kept, and may be asked twice: where a used connection
/// turns out to be dead it is asked anew. `timeout` is for what is short; what is long has longer.
pub async fn ask_often(
    connections: &Connections,
    to: &Destination,
    question: &Question<'_>,
    timeout: Duration,
    bytes_max: usize,
) -> Result<(ResponseHeader, Vec<u8>), FetchError> {
    let bounds = Bounds { fresh: false, timeout, bytes_max };
    match exchange(connections, to, question, bounds).await {
        Err(Trouble::OfTheConnection { used: true, .. }) => {
            let again = exchange(connections, to, question, Bounds { fresh: true, ..bounds }).await;
            // What was sent on the first one may have been heard.
            again.map_err(|trouble| FetchError { nothing_was_sent: false, ..trouble.into() })
        }
        answered => answered.map_err(FetchError::from),
    }
}

#[derive(Clone, Copy)]
struct Bounds {
    /// Not over a connection that was used before.
    fresh: bool,
    /// Until the answer begins, and again until it has come, besides the time for what is long.
    timeout: Duration,
    /// A longer answer is given up.
    bytes_max: usize,
}

impl Bounds {
    /// The time for so many bytes.
    fn time_for(self, bytes: usize) -> Duration {
        self.timeout + Duration::from_secs(bytes as u64 / SLOWEST_BYTES_A_SECOND)
    }

    fn late(self) -> Trouble {
        Trouble::OfTheAnswer(format!("no answer within {} s", self.timeout.as_secs()))
    }
}

enum Trouble {
    NoConnection(String),
    /// `used`: it was used before, and may be what is wrong.
    OfTheConnection {
        used: bool,
        why: String,
    },
    OfTheAnswer(String),
}

impl From<Trouble> for FetchError {
    fn from(trouble: Trouble) -> Self {
        let nothing_was_sent = matches!(trouble, Trouble::NoConnection(_));
        let (Trouble::NoConnection(why) | Trouble::OfTheConnection { why, .. } | Trouble::OfTheAnswer(why)) =
            trouble;
        Self { why, nothing_was_sent }
    }
}

async fn exchange(
    connections: &Connections,
    to: &Destination,
    question: &Question<'_>,
    bounds: Bounds,
) -> Result<(ResponseHeader, Vec<u8>), Trouble> {
    let begun = begin(connections, to, question, bounds);
    let begun = timeout(bounds.time_for(question.body.len()), begun).await;
    let (mut connection, response) = begun.unwrap_or_else(|_| Err(bounds.late()))?;
    let begun_at = Instant::now();
    let mut body = Vec::new();
    loop {
        let read = connection.session.read_response_body();
        let read = timeout_at(begun_at + bounds.time_for(body.len()), read).await;
        let read = read.map_err(|_| bounds.late())?;
        let Some(chunk) = read.map_err(|error| of_the_connection(connection.reused, &error))? else { break };
        if body.len() + chunk.len() > bounds.bytes_max {
            let why = format!("an answer longer than {} bytes", bounds.bytes_max);
            return Err(Trouble::OfTheAnswer(why));
        }
        body.extend_from_slice(&chunk);
    }
    connections.give_back(connection).await;
    Ok((response, body))
}

/// Sends the question and reads the head of its answer.
async fn begin(
    connections: &Connections,
    to: &Destination,
    question: &Question<'_>,
    bounds: Bounds,
) -> Result<(Connection, ResponseHeader), Trouble> {
    let opened = connections.open(to, bounds.fresh).await;
    let mut connection = opened.map_err(|error| Trouble::NoConnection(error.to_string()))?;
    let used = connection.reused;
    let trouble = |error: Box<pingora_core::Error>| of_the_connection(used, &error);
    let header = header_of(to, question).map_err(trouble)?;
    connection.session.write_request_header(Box::new(header)).await.map_err(trouble)?;
    if !question.body.is_empty() {
        // A write that fails may follow an early answer, which is still to be read.
        let _ = connection.session.write_request_body(question.body.clone(), true).await;
    }
    let _ = connection.session.finish_request_body().await;
    connection.session.read_response_header().await.map_err(trouble)?;
    let response = connection.session.response_header().cloned();
    let response = response.ok_or_else(|| Trouble::OfTheAnswer("an answer without a head".into()))?;
    Ok((connection, response))
}

fn of_the_connection(used: bool, error: &pingora_core::Error) -> Trouble {
    Trouble::OfTheConnection { used, why: innermost(error) }
}

fn header_of(to: &Destination, question: &Question<'_>) -> Result<RequestHeader, Box<pingora_core::Error>> {
    let path = format!("{}{}", to.base_path, question.path);
    let mut request = RequestHeader::build_no_case(question.method.clone(), path.as_bytes(), Some(6))?;
    request.insert_header(header::HOST, to.authority.as_str())?;
    request.insert_header(header::ACCEPT, "application/json")?;
    request.insert_header(header::ACCEPT_ENCODING, "identity")?;
    for (name, value) in &question.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    if !question.body.is_empty() {
        request.insert_header(header::CONTENT_TYPE, "application/json")?;
        request.insert_header(header::CONTENT_LENGTH, question.body.len())?;
    }
    Ok(request)
}
