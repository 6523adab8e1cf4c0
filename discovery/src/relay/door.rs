//! One connection to the relay: a WebSocket with bounds on this side, `LocalRelay` behind a pipe on
//! the other.
//!
//! `LocalRelay` reads messages of up to 64 MiB, ends a connection at the first that is not JSON, and
//! waits for ever for who is silent or does not read. Behind this door it meets none of those.

use crate::relays::bucket::{Bucket, Rate};
use futures::{Sink, SinkExt, Stream, StreamExt};
use nostr_relay_builder::LocalRelay;
use nostr_sdk::{ClientMessage, JsonUtil, RelayMessage};
use protocol::Timestamp;
use std::{
    borrow::Cow,
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    io::{DuplexStream, duplex},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;

/// A longer message ends the connection. Holds an event of the most content and tags, escaped.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What is read of one connection; the rest is dropped with a notice.
const MESSAGES: Rate = Rate::per_second(10, 200);

/// After so many that came too fast the connection ends.
const SHED_MAX: u32 = 2000;

/// Filters of one question; each is a walk along the whole shelf.
const FILTERS_MAX: usize = 10;

/// How long becoming a WebSocket may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection is pinged so often...
const PING_EVERY: Duration = Duration::from_secs(45);

/// ...and ends after so long without a sign of life.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A reader that takes nothing for so long is left.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// What lies between the two sides.
const PIPE_BYTES: usize = 64 * 1024;

/// Answers of ours that wait for room on the wire; more are dropped.
const NOTICES_MAX: usize = 16;

/// All connections' way in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) relay: LocalRelay,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) stopping: CancellationToken,
}

impl Door {
    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, tcp: TcpStream, from: SocketAddr) {
        let shaking = accept_hdr_async_with_config(tcp, self.dated(), Some(bounds()));
        let socket = tokio::select! {
            () = self.stopping.cancelled() => return,
            shaken = timeout(HANDSHAKE, shaking) => match shaken {
                Ok(Ok(socket)) => socket,
                _ => return,
            },
        };
        let (pipe, behind) = duplex(PIPE_BYTES);
        let inner = WebSocketStream::from_raw_socket(pipe, Role::Client, Some(bounds_inside())).await;
        let (mut outer_out, outer_in) = socket.split();
        tokio::select! {
            () = self.stopping.cancelled() => {}
            // Its error is about this client's connection, and of no interest to anybody here.
            _ = self.relay.take_connection(behind, from) => {}
            () = pass(outer_in, &mut outer_out, inner) => {}
        }
        let _ = timeout(Duration::from_secs(1), outer_out.close()).await;
    }

    /// The handshake's answer says what time it is: `lobstah doctor` compares clocks by it.
    #[expect(clippy::result_large_err, reason = "the shape that tungstenite wants")]
    fn dated(&self) -> impl FnOnce(&Request, Response) -> Result<Response, ErrorResponse> {
        let now = UNIX_EPOCH + Duration::from_millis((self.clock)().as_millis());
        let date = HeaderValue::from_str(&httpdate::fmt_http_date(now));
        move |_, mut response| {
            if let Ok(date) = date {
                response.headers_mut().insert("date", date);
            }
            Ok(response)
        }
    }
}

/// Both ways at the same time, until either ends.
async fn pass<I, O>(outer_in: I, outer_out: &mut O, inner: WebSocketStream<DuplexStream>)
where
    I: Stream<Item = Result<Message, Error>> + Unpin,
    O: Sink<Message, Error = Error> + Unpin,
{
    let (inner_out, inner_in) = inner.split();
    let (notices, waiting) = mpsc::channel(NOTICES_MAX);
    tokio::select! {
        () = inward(outer_in, inner_out, notices) => {}
        () = outward(inner_in, waiting, outer_out) => {}
    }
}

async fn inward<I, O>(mut from: I, mut to: O, notices: mpsc::Sender<RelayMessage<'static>>)
where
    I: Stream<Item = Result<Message, Error>> + Unpin,
    O: Sink<Message, Error = Error> + Unpin,
{
    let (mut bucket, mut shed) = (Bucket::full(Instant::now()), 0);
    while let Ok(Some(Ok(message))) = timeout(SILENCE_MAX, from.next()).await {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => continue,
            Message::Close(_) => return,
            _ => continue,
        };
        if !bucket.take(&MESSAGES, Instant::now()) {
            shed += 1;
            let _ = notices.try_send(RelayMessage::notice("rate-limited: too many messages, slow down"));
            if shed > SHED_MAX {
                return;
            }
            continue;
        }
        match refused(&text) {
            Some(refusal) => {
                let _ = notices.try_send(refusal);
            }
            None => {
                if to.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn outward<I, O>(mut from: I, mut notices: mpsc::Receiver<RelayMessage<'static>>, to: &mut O)
where
    I: Stream<Item = Result<Message, Error>> + Unpin,
    O: Sink<Message, Error = Error> + Unpin,
{
    let mut pings = interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            message = from.next() => match message {
                Some(Ok(message @ Message::Text(_))) => message,
                Some(Ok(_)) => continue,
                _ => return,
            },
            Some(notice) = notices.recv() => Message::text(notice.as_json()),
            _ = pings.tick() => Message::Ping(Vec::new().into()),
        };
        if !matches!(timeout(WRITE_PATIENCE, to.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// What is not passed on, and what to say to it.
fn refused(text: &str) -> Option<RelayMessage<'static>> {
    let Ok(message) = ClientMessage::from_json(text) else {
        return Some(RelayMessage::notice("invalid: not a message of NIP-01"));
    };
    match message {
        ClientMessage::Req { subscription_id, filters } if filters.len() > FILTERS_MAX => {
            let why = format!("invalid: more than {FILTERS_MAX} filters");
            Some(RelayMessage::closed(subscription_id.into_owned(), why))
        }
        ClientMessage::Event(_)
        | ClientMessage::Req { .. }
        | ClientMessage::Count { .. }
        | ClientMessage::Close(_)
        | ClientMessage::Auth(_) => None,
        ClientMessage::NegOpen { subscription_id, .. } | ClientMessage::NegMsg { subscription_id, .. } => {
            let subscription_id = Cow::Owned(subscription_id.into_owned());
            Some(RelayMessage::NegErr { subscription_id, message: "unsupported: negentropy".into() })
        }
        ClientMessage::NegClose { .. } => Some(RelayMessage::notice("unsupported: negentropy")),
    }
}

fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Towards `LocalRelay`, which is no stranger.
fn bounds_inside() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_cost_too_much_is_refused_with_a_reason() {
        let filters = |count| format!(r#"["REQ","s"{}]"#, ",{}".repeat(count));
        assert_eq!(refused(&filters(FILTERS_MAX)), None);
        assert!(matches!(refused(&filters(FILTERS_MAX + 1)), Some(RelayMessage::Closed { .. })));
        assert!(matches!(refused(r#"["NEG-OPEN","s",{},"61"]"#), Some(RelayMessage::NegErr { .. })));
        for nonsense in ["", "{", "[]", r#"["EVENT",{}]"#, r#"["HELLO"]"#] {
            assert!(matches!(refused(nonsense), Some(RelayMessage::Notice(_))), "{nonsense}");
        }
        assert_eq!(refused(r#"["CLOSE","s"]"#), None);
    }
}
