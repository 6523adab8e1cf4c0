//! A running engine and a client to ask it.

use protocol::Usage;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use upstream_ollama::{
    Ollama, Practice,
    practice::{Handle, Running},
    usage,
};

/// Everything here takes milliseconds; what takes longer is stuck.
const STUCK: Duration = Duration::from_secs(20);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(STUCK, future).await.expect("stuck")
}

pub(crate) struct World {
    pub(crate) engine: Running,
    pub(crate) ollama: Ollama,
    client: Client,
}

pub(crate) fn world() -> World {
    world_of(Practice::builder())
}

pub(crate) fn world_of(practice: Practice) -> World {
    let engine = practice.start().unwrap();
    // Brings the TLS provider that reqwest wants.
    let ollama = Ollama::new(engine.url.clone()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    World { engine, ollama, client }
}

impl World {
    pub(crate) fn handle(&self) -> &Handle {
        &self.engine.handle
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.engine.url.join(path).unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.engine.url.join(path).unwrap()).json(body)
    }

    pub(crate) async fn ask(&self, path: &str, body: Value) -> Response {
        within(self.post(path, &body).send()).await.unwrap()
    }

    pub(crate) async fn chat(&self, body: Value) -> Response {
        self.ask("/v1/chat/completions", body).await
    }
}

/// A chat with one question; `more` goes over it.
pub(crate) fn question(more: Value) -> Value {
    let mut body =
        json!({"model": "practice:8b", "messages": [{"role": "user", "content": "count to three"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

pub(crate) async fn answer(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&within(response.bytes()).await.unwrap()).unwrap()
}

/// A stream as it comes.
pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn of(response: Response) -> Events {
        assert_eq!(response.status(), 200);
        Events { response, buffer: Vec::new() }
    }

    /// The data of the next event; None at the end; an error if the connection broke.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, reqwest::Error> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(Some(event[b"data: ".len()..end].to_vec()));
            }
            match within(self.response.chunk()).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// Events that say something, up to `count`.
    pub(crate) async fn tokens(&mut self, count: usize) {
        for _ in 0..count {
            assert!(usage::has_text(&self.next().await.unwrap().unwrap()));
        }
    }

    pub(crate) async fn rest(mut self) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await.unwrap() {
            events.push(event);
        }
        events
    }
}

pub(crate) fn counted(event: &[u8]) -> Usage {
    usage::of_event(event).expect("usage")
}

pub(crate) fn parsed(event: &[u8]) -> Value {
    serde_json::from_slice(event).unwrap()
}
