//! Sockets that close when the engine stops, and are counted while they are open.

use super::engine::Engine;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

pub(super) struct Listener {
    inner: TcpListener,
    engine: Arc<Engine>,
}

impl Listener {
    pub(super) fn new(inner: TcpListener, engine: Arc<Engine>) -> Listener {
        Listener { inner, engine }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        let (stream, from) = axum::serve::Listener::accept(&mut self.inner).await;
        // Refused only by a socket that is closed already.
        let _ = stream.set_nodelay(true);
        self.engine.count(|counts| counts.connections += 1);
        let stopped = Box::pin(self.engine.stop.clone().cancelled_owned());
        (Socket { stream, stopped, engine: self.engine.clone() }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

pub(super) struct Socket {
    stream: TcpStream,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    engine: Arc<Engine>,
}

impl Socket {
    /// The stream, unless the engine has stopped.
    fn open(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.stopped.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.engine.count(|counts| counts.connections -= 1);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
