//! nostr-sdk's connections, made by us.

use super::{
    line::Line,
    sieve::sieve,
    socket::{self, NoConnection},
};
use async_wsocket::{ConnectionMode, Message, WebSocket};
use futures::{Sink, StreamExt, stream::SplitSink};
use nostr_sdk::{
    pool::transport::{
        error::TransportError,
        websocket::{WebSocketSink, WebSocketStream, WebSocketTransport},
    },
    util::BoxedFuture,
};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use url::Url;

/// The longest that one attempt to connect may take, all of TCP, TLS and WebSocket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes connections to the relays that it knows, and to no others.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) lines: HashMap<Url, Arc<Line>>,
    pub(crate) silence: Duration,
    /// Counts the open connections, whose tasks are the SDK's.
    pub(crate) connections: TaskTracker,
}

impl Transport {
    async fn dial(
        &self,
        url: &Url,
        patience: Duration,
    ) -> Result<(WebSocketSink, WebSocketStream), NoConnection> {
        let line = self.lines.get(url).ok_or_else(|| NoConnection::NotARelay(Box::new(url.clone())))?;
        if let Some(until) = line.paused_until() {
            sleep_until(until).await;
        }
        let (socket, _) =
            socket::open(url, patience).await.inspect_err(|error| line.failed(&error.to_string()))?;
        let (sending, receiving) = socket.split();
        let sending = Sending { sink: sending, _connection: self.connections.token() };
        let receiving = sieve(line.open(Instant::now()), receiving, self.silence);
        Ok((Box::new(sending), Box::pin(receiving)))
    }
}

impl WebSocketTransport for Transport {
    fn support_ping(&self) -> bool {
        true
    }

    fn connect<'a>(
        &'a self,
        url: &'a Url,
        _mode: &'a ConnectionMode,
        timeout: Duration,
    ) -> BoxedFuture<'a, Result<(WebSocketSink, WebSocketStream), TransportError>> {
        let patience = timeout.min(CONNECT_TIMEOUT);
        Box::pin(async move { self.dial(url, patience).await.map_err(TransportError::backend) })
    }
}

/// The sending half, with the SDK's kind of error.
struct Sending {
    sink: SplitSink<WebSocket, Message>,
    _connection: TaskTrackerToken,
}

impl Sink<Message> for Sending {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.sink).poll_ready(cx).map_err(TransportError::backend)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), TransportError> {
        Pin::new(&mut self.sink).start_send(message).map_err(TransportError::backend)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.sink).poll_flush(cx).map_err(TransportError::backend)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.sink).poll_close(cx).map_err(TransportError::backend)
    }
}
