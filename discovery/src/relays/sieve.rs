//! What arrives of a relay, as nostr-sdk gets to see it: next to nothing.
//!
//! The SDK would check every event under one lock for all relays, remember a million ids, and lose
//! events to slow receivers without a word. So events end here, in the [`Ear`](super::Ear); the SDK
//! sees answers to what it sent, challenges, and the WebSocket's own frames.

use super::{
    frame::Frame,
    line::{Open, Taken},
    socket::was_too_long,
};
use async_wsocket::{Error, Message};
use futures::{
    Stream, StreamExt,
    stream::{self, SplitStream},
};
use nostr_sdk::pool::transport::error::TransportError;
use std::time::Duration;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

/// The messages that are left for the SDK. Ends, so that the SDK connects anew, when the relay does,
/// when it fails, and when nothing came for `silence`.
pub(crate) fn sieve<S>(
    open: Open,
    messages: SplitStream<S>,
    silence: Duration,
) -> impl Stream<Item = Result<Message, TransportError>> + Send
where
    S: Stream<Item = Result<Message, Error>> + Send + Unpin,
{
    stream::unfold((open, messages), move |(open, mut messages)| async move {
        let passed = next_passed(&open, &mut messages, silence).await?;
        Some((passed, (open, messages)))
    })
}

async fn next_passed<S>(
    open: &Open,
    messages: &mut SplitStream<S>,
    silence: Duration,
) -> Option<Result<Message, TransportError>>
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    let line = open.line();
    loop {
        let message = match timeout(silence, messages.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                if was_too_long(&error) {
                    line.endless();
                }
                line.lost(&error.to_string(), Instant::now());
                return None;
            }
            Ok(None) => {
                line.lost("it closed the connection", Instant::now());
                return None;
            }
            Err(_) => {
                let why = format!("it was silent for {} s, even to pings", silence.as_secs());
                line.lost(&why, Instant::now());
                return None;
            }
        };
        match line.take(&message, Instant::now()) {
            Taken::Said(Frame::Answer { .. } | Frame::Challenge(_)) | Taken::Control => {
                return Some(Ok(message));
            }
            Taken::Said(_) | Taken::Heard | Taken::Dropped => yield_now().await,
        }
    }
}
