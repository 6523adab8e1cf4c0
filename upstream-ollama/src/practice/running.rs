//! The engine's life: from a listener to the last closed connection.

use super::{Handle, Practice, engine::Engine, routes, socket::Listener};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// A running engine. Dropping it stops it: like a killed process, it finishes nothing.
#[derive(Debug)]
pub struct Running {
    pub addr: SocketAddr,
    /// Without a path.
    pub url: Url,
    pub handle: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Connections that wait to be accepted.
const QUEUED_CONNECTIONS: i32 = 4096;

impl Running {
    pub(super) fn start(practice: Practice, listener: TcpListener) -> io::Result<Running> {
        listener.set_nonblocking(true)?;
        // A thousand tools may come at once; beyond the 128 of the standard library some are reset.
        socket2::SockRef::from(&listener).listen(QUEUED_CONNECTIONS)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let url = Url::parse(&format!("http://{addr}")).map_err(io::Error::other)?;
        let engine = Arc::new(Engine::new(practice));
        let stop = engine.stop.clone();
        let tasks = TaskTracker::new();
        let server = axum::serve(Listener::new(listener, engine.clone()), routes::router(engine.clone()));
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                _ = server.into_future() => (),
                () = stopped.cancelled() => (),
            }
        });
        Ok(Running { addr, url, handle: Handle::new(engine), stop, tasks })
    }

    /// Stops, and returns when no socket of it is open any more.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.handle.wait_until(|counts| counts.connections == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
