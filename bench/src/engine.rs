//! The fake engine: as much of Ollama as a gateway asks for, and answers that cost almost nothing.
//!
//! Each chunk of a stream goes out in a write of its own, as tokens do, and carries the time at which
//! it was emitted.

use crate::{
    machine::monotonic_ns,
    question::{MODEL, Wish},
    wire::EMITTED,
};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    convert::Infallible,
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Says where the engine listens, on its standard output.
pub const LISTENING: &str = "engine on ";

/// Longer streams are cut to this.
const CHUNKS_MAX: u32 = 100_000;

/// Longer requests are not read.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serves until standard input ends, which it does with the process that started this one.
pub fn run() -> anyhow::Result<()> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(io::stdout(), "{LISTENING}{}", listener.local_addr()?)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection(socket));
                }
                // Out of files: those that end make room.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    // Whoever leaves in the middle of an answer is nothing to speak of.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match (head.method, head.uri.path()) {
        (Method::POST, "/v1/chat/completions") => {
            let wish = read(body).await.and_then(|body| Wish::of(&body));
            wish.map_or_else(|| whole(StatusCode::BAD_REQUEST, Bytes::new()), completion)
        }
        (Method::GET, "/api/tags") => whole(StatusCode::OK, TAGS.clone()),
        (Method::POST, "/api/show") => whole(StatusCode::OK, Bytes::from_static(SHOW)),
        (Method::GET, "/api/ps") => whole(StatusCode::OK, Bytes::from_static(b"{\"models\":[]}")),
        (Method::GET, "/api/version") => {
            whole(StatusCode::OK, Bytes::from_static(b"{\"version\":\"0.0.0\"}"))
        }
        (Method::GET, "/healthz") => whole(StatusCode::OK, Bytes::new()),
        _ => whole(StatusCode::NOT_FOUND, Bytes::new()),
    };
    Ok(answer)
}

/// The request's body, if it is there and not too long.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4 * 1024);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend_from_slice(frame.ok()?.data_ref()?);
        if bytes.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
    Some(bytes)
}

static TAGS: LazyLock<Bytes> = LazyLock::new(|| {
    let model = json!({
        "name": MODEL, "model": MODEL, "modified_at": "2026-01-01T00:00:00Z", "size": 1_000_000,
        "digest": "be".repeat(32), "details": { "family": "bench", "parameter_size": "0B" },
    });
    json!({ "models": [model] }).to_string().into()
});

/// A template that knows the role `developer`, so that no message need be changed.
const SHOW: &[u8] =
    b"{\"template\":\"{{ system developer user assistant }}\",\"parameters\":\"num_ctx 1073741824\",\"capabilities\":[\"completion\"]}";

/// About 600 bytes, the length of a short answer.
static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
    let text =
        "The ebb sets hard to the north-east there, so weight the traps and lift them at slack water. ";
    let message = json!({ "role": "assistant", "content": text.repeat(3).trim_end() });
    let answer = json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_790_000_000, "model": MODEL,
        "system_fingerprint": "fp_bench",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 412, "completion_tokens": 71, "total_tokens": 483 },
    });
    answer.to_string().into()
});

const USAGE: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\
    \"created\":1790000000,\"model\":\"bench:latest\",\"choices\":[],\
    \"usage\":{\"prompt_tokens\":412,\"completion_tokens\":50,\"total_tokens\":462}}\n\n";

fn chunk() -> Bytes {
    let now = monotonic_ns();
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
         \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" slack\"}},\
         \"finish_reason\":null}}],{EMITTED}{now}}}\n\n"
    )
    .into()
}

fn whole(status: StatusCode, body: Bytes) -> Response<Answer> {
    response(status, "application/json", Answer::Whole(Some(body)))
}

fn completion(wish: Wish) -> Response<Answer> {
    if wish.chunks == 0 {
        return whole(StatusCode::OK, ANSWER.clone());
    }
    let chunks = wish.chunks.min(CHUNKS_MAX);
    let stream =
        Stream { chunks, delay: wish.delay(), begun: Instant::now(), sent: 0, timer: None, flush: false };
    response(StatusCode::OK, "text/event-stream", Answer::Stream(stream))
}

fn response(status: StatusCode, content_type: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The body of an answer.
enum Answer {
    Whole(Option<Bytes>),
    Stream(Stream),
}

struct Stream {
    chunks: u32,
    delay: Duration,
    begun: Instant,
    /// Of the chunks, then the usage, then the end.
    sent: u32,
    timer: Option<Pin<Box<Sleep>>>,
    /// What was given last is still to be written.
    flush: bool,
}

impl Stream {
    /// Ready when the next event may go out.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timed = !self.delay.is_zero() && (1..self.chunks).contains(&self.sent);
        if !timed {
            return Poll::Ready(());
        }
        let due = self.begun + self.delay * self.sent;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    fn event(&self) -> Option<Bytes> {
        match self.sent {
            sent if sent < self.chunks => Some(chunk()),
            sent if sent == self.chunks => Some(Bytes::from_static(USAGE.as_bytes())),
            sent if sent == self.chunks + 1 => Some(Bytes::from_static(b"data: [DONE]\n\n")),
            _ => None,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        ready!(self.poll_due(cx));
        if std::mem::take(&mut self.flush) {
            // hyper writes what it has when there is nothing more: else several chunks become one write.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let event = self.event();
        self.sent += 1;
        self.flush = event.is_some();
        Poll::Ready(event)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Answer::Whole(body) => body.take(),
            Answer::Stream(stream) => ready!(stream.poll_event(cx)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}
