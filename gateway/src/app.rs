//! One connection, request after request: pingora's `HttpServerApp` (docs/adr/0001).

use crate::{
    clock,
    downstream::{Downstream, Gone},
    exchange::Role,
    failure::Failure,
    node::Node,
    routes,
};
use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::{
    apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
};
use std::{
    future::Future,
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// An idle connection of a requester is kept this long.
const KEEPALIVE_SECS: u64 = 60;

/// A request's header must be there by then, idle time included: no connection is held by dribbling.
const HEADER_DEADLINE: Duration = Duration::from_secs(90);

/// So many requests are served at once, waiting ones included; beyond it 429.
pub const REQUESTS_OPEN_MAX: usize = 20_000;

/// A longer `x-request-id` of the caller's is replaced.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Cancelled when nothing new is to be taken in.
    fn stopping(&self) -> &CancellationToken;

    /// Requests that are being served.
    fn open(&self) -> &TaskTracker;

    /// Answers one request.
    fn serve(&self, down: &mut Downstream) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// A node in one of its roles.
pub struct Desk {
    pub node: Arc<Node>,
    pub role: Role,
    /// Of this role alone, or of the whole node.
    pub stopping: CancellationToken,
}

impl Handler for Desk {
    fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    fn open(&self) -> &TaskTracker {
        &self.node.open
    }

    async fn serve(&self, down: &mut Downstream) -> Result<(), Gone> {
        routes::dispatch(&self.node, self.role, down).await
    }
}

/// A handler, as pingora's service calls it.
pub struct App<H> {
    handler: Arc<H>,
    options: HttpServerOptions,
}

impl<H: Handler> App<H> {
    fn new(handler: Arc<H>) -> Self {
        Self { handler, options: HttpServerOptions::default() }
    }

    /// The same for connections that begin with HTTP/2's preface.
    fn for_h2c(handler: Arc<H>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(Duration::from_secs(KEEPALIVE_SECS));
        Self { handler, options }
    }

    async fn serve(&self, down: &mut Downstream) -> Result<(), Gone> {
        if self.handler.stopping().is_cancelled() {
            down.session.set_keepalive(None);
            return down.fail_early(&Failure::Draining).await;
        }
        if self.handler.open().len() > REQUESTS_OPEN_MAX {
            return down.fail_early(&Failure::Busy { retry_after: Duration::from_secs(1) }).await;
        }
        self.handler.serve(down).await
    }
}

#[async_trait]
impl<H: Handler> HttpServerApp for App<H> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut down = Downstream::new(session);
        // A request that comes right behind another is kept for its turn, not taken for rubbish.
        down.session.set_pipelining_enabled(true);
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(HEADER_DEADLINE, down.session.read_request()) => read.ok()?,
            () = self.handler.stopping().cancelled() => return None,
        };
        let _open = self.handler.open().token();
        match read {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => {
                let failure =
                    Failure::BadRequest { code: "invalid_request", param: None, message: NOT_HTTP.into() };
                down.request_id = own_request_id();
                down.session.set_keepalive(None);
                let _ = down.fail(&failure).await;
                return None;
            }
        }
        // Not where pingora decided to close: HTTP/1.0, or a body whose length is told in two ways.
        if down.session.get_keepalive().is_some() {
            down.session.set_keepalive(Some(KEEPALIVE_SECS));
        }
        down.request_id = request_id(&down.session);
        self.serve(&mut down).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&down.session);
        let reusable = down.session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// The first thing that a connection meets: tells HTTP/2 from HTTP/1 by its first bytes.
///
/// pingora would do it itself, and wait without end for 24 bytes that a short request does not have
/// and a silent connection never sends.
pub struct Door<H> {
    stopping: CancellationToken,
    h1: Arc<App<H>>,
    h2c: Arc<App<H>>,
}

impl<H: Handler> Door<H> {
    pub fn new(handler: Arc<H>) -> Self {
        Self {
            stopping: handler.stopping().clone(),
            h1: Arc::new(App::new(Arc::clone(&handler))),
            h2c: Arc::new(App::for_h2c(handler)),
        }
    }

    /// Whether the connection begins with HTTP/2's preface; `None` if nothing came in time.
    async fn is_h2c(&self, stream: &mut Stream) -> Option<bool> {
        let mut method = [0; 4];
        let mut preface = [0; PREFACE.len()];
        let peeked = async {
            stream.try_peek(&mut method).await?;
            if method != PREFACE[..4] {
                return Ok(false);
            }
            stream.try_peek(&mut preface).await?;
            io::Result::Ok(preface == *PREFACE)
        };
        tokio::select! {
            biased;
            peeked = tokio::time::timeout(HEADER_DEADLINE, peeked) => peeked.ok()?.ok(),
            () = self.stopping.cancelled() => None,
        }
    }
}

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[async_trait]
impl<H: Handler> ServerApp for Door<H> {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // Boxed, so that the look does not take room for as long as the connection lasts.
        let h2c = Box::pin(self.is_h2c(&mut stream)).await?;
        let app = if h2c { &self.h2c } else { &self.h1 };
        app.process_new(stream, shutdown).await
    }
}

const NOT_HTTP: &str = "this is no HTTP request that can be understood; send HTTP/1.1 or HTTP/2";

/// The caller's, so that its logs and ours agree; one of ours if it sent none.
fn request_id(session: &ServerSession) -> HeaderValue {
    let given = session.get_header("x-request-id");
    let usable = |id: &&HeaderValue| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.to_str().is_ok();
    given.filter(usable).cloned().unwrap_or_else(own_request_id)
}

/// Unique among all runs of all nodes, near enough: when this one started, and a counter.
fn own_request_id() -> HeaderValue {
    static STARTED: LazyLock<u64> =
        LazyLock::new(|| clock::now().as_millis() << 16 | u64::from(std::process::id() as u16));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("req_{:016x}{:08x}", *STARTED, NEXT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("req"))
}
