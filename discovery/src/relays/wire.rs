//! A connection for one errand: said and answered in turn, then closed.

use super::socket::{self, NoConnection, was_too_long};
use async_wsocket::{Error, Message, WebSocket};
use futures::{SinkExt, StreamExt};
use nostr_sdk::{ClientMessage, JsonUtil};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use url::Url;

/// How long saying goodbye may take.
const CLOSING: Duration = Duration::from_secs(1);

pub(crate) struct Wire(WebSocket);

/// The connection ended before the errand did.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// By the relay, without a word.
    #[error("the relay closed the connection")]
    Closed,
    /// By a message that is not read to its end.
    #[error("the relay sent a message too long to read")]
    Endless,
    /// Otherwise.
    #[error("the connection broke: {0}")]
    Failed(String),
}

impl Wire {
    pub(crate) async fn open(url: &Url, patience: Duration) -> Result<(Self, Response), NoConnection> {
        let (socket, response) = socket::open(url, patience).await?;
        Ok((Self(socket), response))
    }

    pub(crate) async fn say(&mut self, message: ClientMessage<'_>) -> Result<(), Broken> {
        Ok(self.0.send(Message::Text(message.as_json())).await?)
    }

    /// The next message that is not the WebSocket's own.
    pub(crate) async fn next(&mut self) -> Result<Message, Broken> {
        loop {
            let message = self.0.next().await.ok_or(Broken::Closed)??;
            if matches!(message, Message::Text(_) | Message::Binary(_)) {
                return Ok(message);
            }
        }
    }

    pub(crate) async fn close(mut self) {
        let _ = timeout(CLOSING, self.0.close()).await;
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        if was_too_long(&error) { Broken::Endless } else { Broken::Failed(error.to_string()) }
    }
}
