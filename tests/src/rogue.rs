//! Upstreams that no honest engine would be: a server that follows a script, byte by byte.

use crate::{
    crew::{Task, spawn},
    lab::Host,
};
use bytes::Bytes;
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A request as a rogue got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a rogue does next with a request.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Bytes),
    Pause(Duration),
    /// Nothing more, for good.
    Hang,
    /// Closes the connection. Without it, the next request is read.
    Close,
}

/// Holds a script for every request.
type Script = dyn Fn(&Request) -> Vec<Act> + Send + Sync;

/// A server; closed, with all its connections, when dropped.
#[derive(Debug)]
pub struct Rogue {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    _server: Task<()>,
}

impl Rogue {
    /// Answers each request with what `script` says.
    pub async fn start(script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        Self::serve(requests, move |stream| {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            async move {
                let _ = follow(stream, &*script, &seen).await;
            }
        })
        .await
    }

    /// The same on a host of a lab, where other hosts reach it.
    pub async fn start_on(
        host: &Host,
        script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let at = SocketAddr::new(host.address(), 0);
        let listener = host.inside(|| std::net::TcpListener::bind(at).unwrap());
        listener.set_nonblocking(true).unwrap();
        let script: Arc<Script> = Arc::new(script);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        Self::serve_at(TcpListener::from_std(listener).unwrap(), requests, move |stream| {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            async move {
                let _ = follow(stream, &*script, &seen).await;
            }
        })
    }

    /// Accepts connections and never says a word.
    pub async fn silent() -> Self {
        Self::serve(Arc::default(), |stream| async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Says something that is neither TLS nor HTTP to everybody.
    pub async fn garbage() -> Self {
        Self::serve(Arc::default(), |mut stream| async move {
            let _ = stream.write_all(b"\x00\x01garbage, neither TLS nor HTTP\r\n\r\n").await;
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard).await;
        })
        .await
    }

    async fn serve<F: Future<Output = ()> + Send + 'static>(
        requests: Arc<Mutex<Vec<Request>>>,
        connection: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        Self::serve_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), requests, connection)
    }

    fn serve_at<F: Future<Output = ()> + Send + 'static>(
        listener: TcpListener,
        requests: Arc<Mutex<Vec<Request>>>,
        connection: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let server = spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.set_nodelay(true);
                open.spawn(connection(stream));
            }
        });
        Self { address, requests, connections, _server: server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it ever had.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Those for an answer: not the questions about itself.
    pub fn asked(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method == "POST").collect()
    }
}

async fn follow(mut stream: TcpStream, script: &Script, seen: &Mutex<Vec<Request>>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read_request(&mut stream, &mut buffer).await?;
        seen.lock().unwrap().push(request.clone());
        for act in script(&request) {
            match act {
                Act::Say(bytes) => stream.write_all(&bytes).await.ok()?,
                Act::Pause(time) => tokio::time::sleep(time).await,
                Act::Hang => std::future::pending().await,
                Act::Close => return None,
            }
        }
    }
}

/// `None` if the client left. Bodies have a length: that is how the gateway sends them.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..end + 4).collect();
    let head = String::from_utf8_lossy(&head[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < length {
        read_more(stream, buffer).await?;
    }
    Some(Request { method, path, headers, body: buffer.drain(..length).collect() })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = vec![0; 64 * 1024];
    let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

/// An answer in one piece, with further header lines (each ended by `\r\n`).
pub fn answer(status: u16, headers: &str, body: &str) -> Act {
    Act::Say(
        format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .into(),
    )
}

/// An error in OpenAI's envelope.
pub fn error(status: u16, headers: &str, message: &str) -> Act {
    let body = serde_json::json!({"error": {"message": message, "type": "x", "param": null, "code": null}});
    answer(status, headers, &body.to_string())
}

/// The header of an event stream that ends with the connection.
pub fn stream_head() -> Act {
    Act::Say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".into())
}

pub fn say(text: impl Into<String>) -> Act {
    Act::Say(text.into().into())
}

/// An event with some words in it.
pub fn words(text: &str) -> Act {
    let chunk = serde_json::json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]});
    say(format!("data: {chunk}\n\n"))
}

/// A whole chat completion that says this.
pub fn completion(text: &str) -> String {
    serde_json::json!({
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    })
    .to_string()
}
