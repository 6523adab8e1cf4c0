//! A tool: reqwest for requests in good order, with every event of a stream kept as it came.

use crate::{lab::Host, node::Node, soon};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, header::HeaderMap};
use serde_json::Value;
use std::time::Instant;

/// reqwest and the engines share one rustls, which must know its provider. Twice is no harm.
pub fn provide_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A tool that speaks HTTP/1.1. Each has connections of its own.
pub fn http() -> Client {
    tool().build().unwrap()
}

/// How [`http`] is made.
pub(crate) fn tool() -> ClientBuilder {
    provide_crypto();
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}

/// A tool that speaks HTTP/2 without TLS and without asking.
pub fn h2c() -> Client {
    provide_crypto();
    Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

/// An answer that is here in full.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = soon("an answer", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = soon("the body of an answer", response.text()).await.unwrap();
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The text of a chat completion.
    #[track_caller]
    pub fn text(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }

    /// Checks OpenAI's envelope, and gives the error object.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let error = self.json()["error"].clone();
        for member in ["message", "type", "param", "code"] {
            assert!(error.get(member).is_some(), "no `{member}` in {error}");
        }
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        error
    }
}

/// One event of a stream, as it came.
#[derive(Clone, Debug)]
pub struct Event {
    /// Without the blank line.
    pub text: String,
    pub at: Instant,
}

impl Event {
    pub fn data(&self) -> Option<&str> {
        self.text.strip_prefix("data: ")
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(self.data()?).ok()
    }

    /// The words in it, if it has any.
    pub fn words(&self) -> Option<String> {
        let words = self.json()?["choices"][0]["delta"]["content"].as_str()?.to_owned();
        (!words.is_empty()).then_some(words)
    }
}

/// A stream that is being read.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    buffer: Vec<u8>,
    /// How it broke off, if it did.
    pub broke: Option<String>,
}

impl Stream {
    /// Sends the request; the answer must be an event stream.
    pub async fn of(request: RequestBuilder) -> Self {
        let response = soon("a stream", request.send()).await.unwrap();
        let kind = response.headers().get("content-type").cloned();
        if response.status() != 200 || kind.as_ref().is_none_or(|kind| kind != "text/event-stream") {
            panic!("no stream: {} {}", response.status(), response.text().await.unwrap());
        }
        Self { response, buffer: Vec::new(), broke: None }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                let text = String::from_utf8(event[..end].to_vec()).unwrap();
                return Some(Event { text, at: Instant::now() });
            }
            match soon("an event", self.response.chunk()).await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => {
                    assert!(self.buffer.is_empty(), "half an event: {:?}", self.buffer);
                    return None;
                }
                Err(error) => {
                    self.broke = Some(error.to_string());
                    return None;
                }
            }
        }
    }

    /// The next event that is no comment.
    pub async fn next_data(&mut self) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if event.data().is_some() {
                return Some(event);
            }
        }
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The words of a stream, joined.
pub fn text_of(events: &[Event]) -> String {
    events.iter().filter_map(Event::words).collect()
}

/// Whether a stream ended as it should.
pub fn is_done(events: &[Event]) -> bool {
    events.last().is_some_and(|event| event.data() == Some("[DONE]"))
}

impl Node {
    /// A tool on the machine that the node is on.
    pub fn http(&self) -> Client {
        self.home().host().map_or_else(http, Host::http)
    }

    /// `POST /v1/chat/completions` at the gateway.
    pub fn chat(&self, body: &Value) -> RequestBuilder {
        self.post("/v1/chat/completions", body.to_string())
    }

    /// A JSON body at the gateway, by a tool of its own.
    pub fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http().post(self.url(path)).header("content-type", "application/json").body(body)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http().get(self.url(path))
    }

    /// A whole answer to a question.
    pub async fn answer(&self, body: &Value) -> Answer {
        Answer::of(self.chat(body)).await
    }

    /// A stream that answers a question.
    pub async fn stream(&self, body: &Value) -> Stream {
        Stream::of(self.chat(body)).await
    }

    /// Through the socket that only the owner can open.
    pub async fn owner_json(&self, path: &str) -> Value {
        let client = tool().unix_socket(self.home().file("lobstah.sock")).build().unwrap();
        Answer::of(client.get(format!("http://lobstah{path}"))).await.json()
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let answer = Answer::of(self.get(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// One counter of `/metrics`; 0 if it was never counted.
    pub async fn metric(&self, line_start: &str) -> u64 {
        let answer = Answer::of(self.get("/metrics")).await;
        let value = answer.body.lines().find_map(|line| line.strip_prefix(line_start)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// How many receipts had this result.
    pub async fn receipts_counted(&self, result: &str) -> u64 {
        self.metric(&format!("lobstah_receipts_total{{result=\"{result}\"}}")).await
    }
}
