//! A Nostr relay that does as its script says: every frame that it sends is the story's choice.

use crate::{Host, Task, forge::now, spawn};
use discovery::event::announcement_event;
use futures::{SinkExt, StreamExt};
use nostr_sdk::{Event, JsonUtil, Keys};
use protocol::{Announcement, Keypair, Tier, Verified};
use std::net::{SocketAddr, TcpListener as StdListener};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// Closed, with all its connections, when dropped.
#[derive(Debug)]
pub struct RogueRelay {
    address: SocketAddr,
    _server: Task<()>,
}

impl RogueRelay {
    /// On a host of a lab. Whoever asks for anything is sent these frames; `$SUB` in a text stands for the
    /// subscription's id.
    pub fn start(host: &Host, frames: Vec<Message>) -> Self {
        let at = SocketAddr::new(host.address(), 0);
        let listener = host.inside(|| StdListener::bind(at).unwrap());
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let frames = frames.clone();
                open.spawn(async move {
                    let Ok(mut socket) = accept_async(stream).await else { return };
                    while let Some(Ok(message)) = socket.next().await {
                        let Some(id) = subscription(&message) else { continue };
                        for frame in &frames {
                            let frame = match frame {
                                Message::Text(text) => Message::text(text.replace("$SUB", &id)),
                                other => other.clone(),
                            };
                            if socket.send(frame).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, _server: server }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// The id in `["REQ", id, …]`.
fn subscription(message: &Message) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(message.to_text().ok()?).ok()?;
    (value[0] == "REQ").then(|| value[1].as_str().map(str::to_owned)).flatten()
}

/// An announcement as an honest worker makes it, in an event of these keys.
pub fn announced(node: &Keypair, url: &str, model: &str, keys: &Keys) -> Event {
    let body = Announcement {
        node: node.node_id(),
        url: url.parse().unwrap(),
        ttl_seconds: 300,
        announced_at: now(),
        label: None,
        models: Some(vec![model.parse().unwrap()]),
        tier: Tier::Batch,
        capacity: None,
        prices: None,
        protocol: 2,
        nostr_pubkey: None,
    };
    announcement_event(&Verified::sign(body, node).unwrap(), keys, now().as_millis() / 1000)
}

/// An event as a relay sends it.
pub fn frame(event: &Event) -> Message {
    Message::text(format!("[\"EVENT\",\"$SUB\",{}]", event.as_json()))
}

/// The same event with another text in the place of a text of it; nothing is signed anew.
pub fn forged(event: &Event, from: &str, to: &str) -> Message {
    let json = event.as_json();
    assert!(json.contains(from), "{json}");
    Message::text(format!("[\"EVENT\",\"$SUB\",{}]", json.replacen(from, to, 1)))
}
