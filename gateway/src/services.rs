//! Listening, background work, and stopping in order: the one bridge between pingora's services and
//! our own tokens and trackers.
//!
//! pingora's `Service` accepts and keeps connections; its `Server` is not used, because it sleeps its
//! whole grace period even when idle, and panics in a task where an address cannot be bound
//! (docs/adr/0001).

use crate::{app::Door, downstream::WRITE_BYTES, exchange::Role, node::Node};
use parking_lot::Mutex;
use pingora_core::{
    listeners::{L4BufferSettings, ListenerConfig},
    server::{Fds, ListenFds},
    services::{Service as _, listening::Service},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What a connection reads past what was asked for. Headers and bodies are read past it, into buffers
/// of their own; all that lands here is the look whether the requester is still there.
const READ_BUFFER: usize = 64;

/// A piece of a stream with the frame around it, or a header and a short answer, go out in one write.
const WRITE_BUFFER: usize = WRITE_BYTES + 64;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{role} cannot listen on {address}; {hint}")]
pub struct CannotListen {
    role: &'static str,
    address: SocketAddr,
    hint: &'static str,
    source: io::Error,
}

/// A listener that is bound and not yet served.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    role: Role,
}

/// The services of a running node.
pub struct Services {
    node: Arc<Node>,
    stop_accepting: watch::Sender<bool>,
    accepting: TaskTracker,
}

/// Binds an address, so that what is wrong with it is said before anything runs.
pub fn bind(role: Role, address: SocketAddr) -> Result<Bound, CannotListen> {
    let cannot =
        |source: io::Error| CannotListen { role: role.as_str(), address, hint: hint(&source), source };
    let listener = TcpListener::bind(address).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok(Bound { listener, address, role })
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program (another lobstah?) has it; stop that or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights; choose another",
        _ => "choose another address",
    }
}

impl Bound {
    /// Where it listens; a port of 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn role(&self) -> Role {
        self.role
    }
}

impl Services {
    /// Serves what is bound, and starts the node's background work.
    pub fn start(node: Arc<Node>, bound: Vec<Bound>) -> Self {
        let (stop_accepting, _) = watch::channel(false);
        let services = Self { node, stop_accepting, accepting: TaskTracker::new() };
        for listener in bound {
            services.accept(listener);
        }
        services.accepting.close();
        services.work_in_background();
        services
    }

    fn accept(&self, bound: Bound) {
        let role = bound.role;
        let address = bound.address.to_string();
        // pingora takes a listener that exists by its address, as it does in a graceful upgrade.
        let mut fds = Fds::new();
        fds.add(address.clone(), bound.listener.into_raw_fd());
        let fds: ListenFds = Arc::new(Mutex::new(fds));
        let app = Door::new(Arc::clone(&self.node), role);
        let mut service = Service::new(format!("lobstah {}", role.as_str()), app);
        let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
        service.add_listener(ListenerConfig::tcp(address).l4_buffer(buffers));
        let shutdown = self.stop_accepting.subscribe();
        self.accepting.spawn(async move { service.start_service(Some(fds), shutdown, 1).await });
    }

    fn work_in_background(&self) {
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { node.prober.run(&node, node.stopping.clone()).await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { node.follow_peers().await });
        self.node.tasks.close();
    }

    /// Stops in order: no new connections, no new requests; what is in flight finishes within
    /// `grace`; then the background work; the books last. Gives the number of requests that were cut.
    pub async fn stop(self, grace: Duration) -> usize {
        let _ = self.stop_accepting.send(true);
        self.node.stopping.cancel();
        self.accepting.wait().await;
        self.node.open.close();
        let _ = tokio::time::timeout(grace, self.node.open.wait()).await;
        let cut = self.node.open.len();
        self.node.tasks.wait().await;
        let ledger = self.node.ledger.clone();
        let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the ledger did not close");
        }
        cut
    }
}
