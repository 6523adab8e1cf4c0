//! A tool that writes every byte itself: what reqwest would never send, and answers as they came.

use crate::soon;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// One connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer of HTTP/1.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    pub version: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Raw {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// With a small window, so that what is not read soon fills the way.
    pub async fn with_a_small_window(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = soon("a connection", socket.connect(address)).await.unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("sending", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends as much as the other side takes; gives whether it took all.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("sending", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// A request with a body, header and all.
    pub async fn post(&mut self, path: &str, headers: &str, body: &str) {
        self.send(post(path, headers, body)).await;
    }

    pub async fn read_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        let read = soon("a byte", self.stream.read(&mut byte)).await;
        read.is_ok_and(|count| count == 1).then_some(byte[0])
    }

    async fn more(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let count = soon("bytes", self.stream.read(&mut chunk)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..count]);
        count > 0
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert!(self.more().await, "closed in the middle of a line: {:?}", self.text());
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// The header of the next answer; an interim one (100) counts.
    pub async fn head(&mut self) -> RawAnswer {
        let first = self.line().await;
        let mut words = first.split(' ');
        let version = words.next().unwrap().to_owned();
        let status = words.next().unwrap_or_default().parse().unwrap_or_else(|_| panic!("{first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        RawAnswer { version, status, headers, body: Vec::new() }
    }

    /// The next answer in full.
    pub async fn answer(&mut self) -> RawAnswer {
        let mut answer = self.head().await;
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(self.line().await.trim(), 16).unwrap();
                let chunk = self.exactly(size + 2).await;
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            answer.body = self.exactly(length).await;
        } else if answer.status >= 200 && answer.status != 204 {
            answer.body = self.until_closed().await;
        }
        answer
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more().await, "closed with {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything until the other side closes, or resets.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Says that nothing more will be sent, and goes on listening.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The bytes of a POST whose body is JSON.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// The bytes of a chat completion.
pub fn chat(body: &Value) -> String {
    post("/v1/chat/completions", "", &body.to_string())
}
