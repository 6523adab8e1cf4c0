//! The generator's side of a connection: one request after another, as raw HTTP/1.1.

use crate::{
    machine::monotonic_ns,
    question::Wish,
    wire::{Dechunker, Framing, Head, Malformed, Seen, take_events},
};
use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Where a request goes, and the bytes of it.
#[derive(Clone, Debug)]
pub struct Request {
    address: SocketAddr,
    bytes: Vec<u8>,
}

impl Request {
    /// A chat with this wish.
    pub fn chat(address: SocketAddr, wish: Wish) -> Self {
        let body = wish.body();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: */*\r\nAuthorization: Bearer bench\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self { address, bytes: [head, body].concat().into_bytes() }
    }

    /// A question without a body.
    pub fn get(address: SocketAddr, path: &str) -> Self {
        Self { address, bytes: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes() }
    }
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("the connection broke: {0}")]
    Socket(#[from] io::Error),
    #[error("status {status}: {text}")]
    Status { status: u16, text: String },
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Wrong(String),
}

impl From<Malformed> for Failed {
    fn from(Malformed(what): Malformed) -> Self {
        Failed::Malformed(what)
    }
}

/// A connection that is kept from one request to the next.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// Read and not yet understood.
    inbox: Vec<u8>,
}

/// An answer whose head is here.
#[derive(Debug)]
pub struct Streaming {
    pub head: Head,
    dechunker: Dechunker,
    body: Vec<u8>,
    pub seen: Seen,
    /// The beginning came along with the head.
    begun: bool,
}

impl Connection {
    /// Connects to where the request goes.
    pub async fn open(request: &Request) -> Result<Self, Failed> {
        let socket = TcpStream::connect(request.address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, inbox: Vec::with_capacity(16 * 1024) })
    }

    /// Asks, and reads a whole answer; gives its head.
    pub async fn whole(&mut self, request: &Request) -> Result<Head, Failed> {
        let head = self.ask(request).await?;
        match head.framing {
            Framing::Length(length) => {
                while self.inbox.len() < length {
                    self.read().await?;
                }
                let body: Vec<u8> = self.inbox.drain(..length).collect();
                accept(head, &body)
            }
            Framing::Chunked => {
                let (mut dechunker, mut body) = (Dechunker::default(), Vec::new());
                self.decode(&mut dechunker, &mut body)?;
                while dechunker != Dechunker::Done {
                    self.read().await?;
                    self.decode(&mut dechunker, &mut body)?;
                }
                accept(head, &body)
            }
        }
    }

    /// Asks, and reads the head of a stream.
    pub async fn stream(&mut self, request: &Request) -> Result<Streaming, Failed> {
        let head = self.ask(request).await?;
        if head.status != 200 || head.framing != Framing::Chunked {
            let text = String::from_utf8_lossy(&self.inbox).chars().take(300).collect();
            return Err(Failed::Status { status: head.status, text });
        }
        let begun = !self.inbox.is_empty();
        Ok(Streaming {
            head,
            dechunker: Dechunker::default(),
            body: Vec::new(),
            seen: Seen::default(),
            begun,
        })
    }

    /// What is here of a stream, waiting for more if there is nothing; `each` gets the arrival and the
    /// emission time of every chunk. Gives whether the stream goes on.
    pub async fn more(
        &mut self,
        stream: &mut Streaming,
        mut each: impl FnMut(u64, u64),
    ) -> Result<bool, Failed> {
        if !std::mem::take(&mut stream.begun) {
            self.read().await?;
        }
        let arrived = monotonic_ns();
        self.decode(&mut stream.dechunker, &mut stream.body)?;
        take_events(&mut stream.body, &mut stream.seen, |emitted| each(arrived, emitted));
        Ok(stream.dechunker != Dechunker::Done)
    }

    async fn ask(&mut self, request: &Request) -> Result<Head, Failed> {
        if !self.inbox.is_empty() {
            return Err(Failed::Malformed("bytes behind the answer before"));
        }
        self.socket.write_all(&request.bytes).await?;
        loop {
            self.read().await?;
            if let Some((head, length)) = Head::read(&self.inbox)? {
                self.inbox.drain(..length);
                return Ok(head);
            }
        }
    }

    fn decode(&mut self, dechunker: &mut Dechunker, body: &mut Vec<u8>) -> Result<(), Failed> {
        let used = dechunker.take(&self.inbox, body)?;
        self.inbox.drain(..used);
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Failed> {
        if self.socket.read_buf(&mut self.inbox).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

fn accept(head: Head, body: &[u8]) -> Result<Head, Failed> {
    if head.status == 200 {
        return Ok(head);
    }
    let text = String::from_utf8_lossy(body).chars().take(300).collect();
    Err(Failed::Status { status: head.status, text })
}
