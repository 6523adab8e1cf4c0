//! One try at one upstream: it is ready to answer, or there is a reason to ask the next.

use crate::{
    events::Events,
    fail_point::{self, FailPoint},
    outcome::{OpenStream, Outcome, Reason, WholeAnswer, brief, error_message, refused, text},
    sse,
    tally::Tally,
    target::{ConnectError, Connection, Connections, Destination, innermost},
    too_long::TooLong,
};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use pingora_http::{RequestHeader, ResponseHeader};
use protocol::{
    ModelName, NodeId,
    carriers::{ORDER_HEADER, REQUESTER_HEADER},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use upstream_ollama::native::Back;

/// A longer answer that is not streamed counts as broken.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// So much of an upstream's error is read and passed on.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// A large body goes out in steps of this size, with a look for an early answer after each.
const SEND_STEP: usize = 64 * 1024;

/// What is asked of an upstream.
#[derive(Clone)]
pub struct Ask<'a> {
    /// Behind the path of the upstream's URL.
    pub path: &'static str,
    pub body: Bytes,
    /// By the name that this upstream is asked for.
    pub model: &'a ModelName,
    /// The most tokens that the tool wants back, where it says.
    pub output_wanted: Option<u64>,
    /// It is put to Ollama's own API, and how the answer is put back.
    pub native: Option<&'a Back>,
    /// Named to peers, and to nobody else.
    pub requester: Option<NodeId>,
    /// The order that a peer is to admit it by.
    pub order: Option<HeaderValue>,
    /// The key of another server, for that server and nobody else.
    pub authorization: Option<HeaderValue>,
    /// The few headers of the tool that go on.
    pub forwarded: &'a [(HeaderName, HeaderValue)],
    pub streamed: bool,
    pub timeouts: Timeouts,
}

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the first event of a stream that says something.
    pub first_byte: Duration,
    /// Between two bytes of a stream, of an upstream that promised to keep it alive.
    pub silence: Option<Duration>,
    /// For a whole answer.
    pub answer: Duration,
}

/// How an exchange on one connection went wrong.
enum Trouble {
    /// Before any byte of an answer: on a used connection this may be the connection's fault.
    NoAnswer(String),
    TimedOut,
    Broken(String),
}

/// Tries once; a second time on a new connection if a used one turned out to be dead.
pub async fn attempt(connections: &Connections, to: &Destination, ask: &Ask<'_>) -> Outcome {
    let mut fresh = false;
    loop {
        let connection = match connections.open(to, fresh).await {
            Ok(connection) => connection,
            Err(error) => return Outcome::Next(no_connection(&error, fresh)),
        };
        let used_before = connection.reused;
        let header = match request(to, ask) {
            Ok(header) => header,
            Err(error) => return Outcome::Next(Reason::Broken(innermost(&error))),
        };
        match exchange(connections, connection, header, ask).await {
            Ok(outcome) => return outcome,
            Err(Trouble::NoAnswer(_)) if used_before && !fresh => fresh = true,
            Err(Trouble::NoAnswer(why) | Trouble::Broken(why)) => return Outcome::Next(Reason::Broken(why)),
            Err(Trouble::TimedOut) => return Outcome::Next(Reason::TimedOut),
        }
    }
}

/// `again`: there was one before, and what was sent on that may have been taken.
fn no_connection(error: &ConnectError, again: bool) -> Reason {
    match error {
        ConnectError::Tls(_) | ConnectError::Other(_) => Reason::Broken(error.to_string()),
        _ if again => Reason::Gone(error.to_string()),
        _ => Reason::Down(error.to_string()),
    }
}

fn request(to: &Destination, ask: &Ask<'_>) -> Result<Box<RequestHeader>, Box<pingora_core::Error>> {
    let path = format!("{}{}", to.base_path, ask.path);
    let mut header = RequestHeader::build_no_case(Method::POST, path.as_bytes(), Some(6))?;
    header.insert_header(header::HOST, to.authority.as_str())?;
    header.insert_header(header::CONTENT_LENGTH, ask.body.len())?;
    header.insert_header(header::ACCEPT_ENCODING, "identity")?;
    for (name, value) in ask.forwarded {
        header.insert_header(name.clone(), value.clone())?;
    }
    if let Some(requester) = ask.requester {
        header.insert_header(REQUESTER_HEADER, requester.to_string())?;
    }
    if let Some(order) = &ask.order {
        header.insert_header(ORDER_HEADER, order.clone())?;
    }
    if let Some(key) = &ask.authorization {
        header.insert_header(header::AUTHORIZATION, key.clone())?;
    }
    Ok(Box::new(header))
}

async fn exchange(
    connections: &Connections,
    mut connection: Connection,
    header: Box<RequestHeader>,
    ask: &Ask<'_>,
) -> Result<Outcome, Trouble> {
    let started = Instant::now();
    let deadline = started + if ask.streamed { ask.timeouts.first_byte } else { ask.timeouts.answer };
    let answered = async {
        send(&mut connection, header, &ask.body).await?;
        let ordered = ask.order.is_some();
        fail_point::reached(if ordered { FailPoint::OrderSent } else { FailPoint::EngineAsked });
        response_header(&mut connection).await
    };
    let quiet = ask
        .timeouts
        .silence
        .filter(|_| ask.streamed)
        .map_or(deadline, |silence| deadline.min(started + silence));
    let response = timeout_at(quiet, answered).await.map_err(|_| Trouble::TimedOut)??;
    let status = response.status.as_u16();
    let content_type = text(&response, header::CONTENT_TYPE);
    if !(200..300).contains(&status) {
        let body = timeout_at(deadline, read_whole(&mut connection, REFUSAL_BYTES_MAX)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        return Ok(refused(status, content_type, &response, body));
    }
    if ask.streamed && content_type.trim_start().starts_with("text/event-stream") {
        let tally = ask.order.is_some().then(Box::default);
        return first_event(connection, Events::default(), ask.timeouts.silence, deadline, tally).await;
    }
    if let (true, Some(back)) = (ask.streamed, ask.native) {
        let events = Events::of_lines(back.stream());
        return first_event(connection, events, ask.timeouts.silence, deadline, None).await;
    }
    let receipt = text(&response, HeaderName::from_static(protocol::carriers::RECEIPT_HEADER));
    let body = timeout_at(deadline, read_whole(&mut connection, ANSWER_BYTES_MAX)).await;
    let body = body.map_err(|_| Trouble::TimedOut)??;
    connections.give_back(connection).await;
    let receipt = (!receipt.is_empty()).then_some(receipt);
    Ok(Outcome::Whole(WholeAnswer { status, content_type, body, receipt }))
}

/// Sends header and body. A session is one `&mut`, so reading while writing is looking in between:
/// an upstream that refuses early may not read the rest.
async fn send(connection: &mut Connection, header: Box<RequestHeader>, body: &Bytes) -> Result<(), Trouble> {
    let session = &mut connection.session;
    let no_answer = |error: Box<pingora_core::Error>| Trouble::NoAnswer(innermost(&error));
    session.write_request_header(header).await.map_err(no_answer)?;
    let mut rest = body.clone();
    while !rest.is_empty() {
        let step = rest.split_to(rest.len().min(SEND_STEP));
        let last = rest.is_empty();
        // A write that fails may follow an early answer, which is still to be read.
        if session.write_request_body(step, last).await.is_err() {
            return Ok(());
        }
        if !last && session.read_response_header().now_or_never().is_some() {
            return Ok(());
        }
    }
    // Whether this fails is seen by reading.
    let _ = session.finish_request_body().await;
    Ok(())
}

async fn response_header(connection: &mut Connection) -> Result<ResponseHeader, Trouble> {
    loop {
        // Set already where the answer came while the body was on its way.
        if let Some(response) = connection.session.response_header()
            && !response.status.is_informational()
        {
            return Ok(response.clone());
        }
        let read = connection.session.read_response_header().await;
        read.map_err(|error| Trouble::NoAnswer(format!("no answer: {}", innermost(&error))))?;
    }
}

async fn read_whole(connection: &mut Connection, max: usize) -> Result<Bytes, Trouble> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let chunk = connection.session.read_response_body().await;
        let chunk =
            chunk.map_err(|error| Trouble::Broken(format!("the answer broke off: {}", innermost(&error))))?;
        let Some(chunk) = chunk else { break };
        if first.len() + rest.len() + chunk.len() > max {
            return Err(Trouble::Broken(format!("an answer longer than {max} bytes")));
        }
        if first.is_empty() {
            first = chunk;
        } else {
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { first } else { [&first[..], &rest[..]].concat().into() })
}

/// Reads until an event says something: comments are no answer, but signs of life.
async fn first_event(
    mut connection: Connection,
    mut events: Events,
    silence: Option<Duration>,
    deadline: Instant,
    mut tally: Option<Box<Tally>>,
) -> Result<Outcome, Trouble> {
    loop {
        let quiet = silence.map_or(deadline, |silence| deadline.min(Instant::now() + silence));
        let chunk = timeout_at(quiet, connection.session.read_response_body()).await;
        let chunk = chunk.map_err(|_| Trouble::TimedOut)?;
        let broken = |why: String| Trouble::Broken(format!("the stream broke before its first token: {why}"));
        let chunk = chunk.map_err(|error| broken(innermost(&error)))?;
        let Some(chunk) = chunk else { return Err(broken("it ended".into())) };
        let run = events.push(chunk).map_err(broken)?;
        let mut start = 0;
        for event in sse::events(run.clone()) {
            if event.is_comment() {
                start += event.0.len();
                tally.iter_mut().for_each(|tally| tally.add(&event.0));
                continue;
            }
            if let Some(too_long) = event.data().and_then(TooLong::said_instead) {
                return Ok(Outcome::Next(Reason::TooLong(too_long)));
            }
            if let Some(message) = event.data().and_then(error_message) {
                return Err(broken(brief(&message)));
            }
            if tally.is_some() {
                fail_point::reached(FailPoint::TokenReceived);
            }
            let first = run.slice(start..);
            return Ok(Outcome::Stream(Box::new(OpenStream { connection, events, first, tally })));
        }
    }
}
