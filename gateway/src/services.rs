//! Listening, background work, and stopping in order: the one bridge between pingora's services and
//! our own tokens and trackers.
//!
//! pingora's `Service` accepts and keeps connections; its `Server` is not used, because it sleeps its
//! whole grace period even when idle, and panics in a task where an address cannot be bound
//! (docs/adr/0001).

use crate::{
    app::{Desk, Door, Handler},
    discover,
    downstream::WRITE_BYTES,
    exchange::Role,
    node::Node,
    settling, sharing, tending,
};
use config::Paths;
use parking_lot::Mutex;
use pingora_core::{
    listeners::{L4BufferSettings, ListenerConfig},
    server::{Fds, ListenFds},
    services::{Service as _, listening::Service},
};
use std::{
    fs::Permissions,
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{IntoRawFd, RawFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
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
#[error("{name} cannot listen on {address}; {hint}")]
pub struct CannotListen {
    name: &'static str,
    address: SocketAddr,
    hint: &'static str,
    source: io::Error,
}

/// A listener that is bound and not yet served.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    name: &'static str,
}

/// The owner's socket: removed when the node has stopped.
struct OwnersSocket(PathBuf);

impl Drop for OwnersSocket {
    fn drop(&mut self) {
        // Somebody may have removed it; then there is nothing to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where the owner's commands reach a node that runs in this home (SPEC section 6).
pub fn socket_path(paths: &Paths) -> PathBuf {
    paths.home.join("lobstah.sock")
}

/// Listeners that are served until they are told to stop.
pub struct Listening {
    stop_accepting: watch::Sender<bool>,
    accepting: TaskTracker,
}

/// The services of a running node.
pub struct Services {
    node: Arc<Node>,
    listening: Listening,
    owners_socket: Option<OwnersSocket>,
}

/// Binds an address, so that what is wrong with it is said before anything runs.
pub fn bind(name: &'static str, address: SocketAddr) -> Result<Bound, CannotListen> {
    let cannot = |source: io::Error| CannotListen { name, address, hint: hint(&source), source };
    let listener = TcpListener::bind(address).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok(Bound { listener, address, name })
}

/// Binds the owner's socket in a folder that only the owner can enter; `None` if another process of this
/// home has it. One that a killed process left behind is replaced.
fn bind_socket(path: &Path) -> io::Result<Option<UnixListener>> {
    if UnixStream::connect(path).is_ok() {
        return Ok(None);
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
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
}

impl Default for Listening {
    fn default() -> Self {
        Self { stop_accepting: watch::channel(false).0, accepting: TaskTracker::new() }
    }
}

impl Listening {
    /// Serves what is bound.
    pub fn serve<H: Handler>(&self, bound: Bound, handler: Arc<H>) {
        let (name, address) = (bound.name, bound.address.to_string());
        let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
        let config = ListenerConfig::tcp(address.clone()).l4_buffer(buffers);
        self.accept(name, address, bound.listener.into_raw_fd(), config, handler);
    }

    fn accept<H: Handler>(
        &self,
        name: &str,
        address: String,
        listener: RawFd,
        config: ListenerConfig,
        handler: Arc<H>,
    ) {
        // pingora takes a listener that exists by its address, as it does in a graceful upgrade.
        let mut fds = Fds::new();
        fds.add(address, listener);
        let fds: ListenFds = Arc::new(Mutex::new(fds));
        let mut service = Service::new(format!("lobstah {name}"), Door::new(handler));
        service.add_listener(config);
        let shutdown = self.stop_accepting.subscribe();
        self.accepting.spawn(async move { service.start_service(Some(fds), shutdown, 1).await });
    }

    /// Takes no more connections. Those that are open go on until their handler stops.
    pub async fn stop(&self) {
        let _ = self.stop_accepting.send(true);
        self.accepting.close();
        self.accepting.wait().await;
    }
}

impl Services {
    /// Serves what is bound, and starts the node's background work.
    pub fn start(node: Arc<Node>, bound: Vec<(Role, Bound)>) -> Self {
        let mut services = Self { node, listening: Listening::default(), owners_socket: None };
        let mut worker = None;
        for (role, bound) in bound {
            if role == Role::Worker {
                worker = Some(bound);
                continue;
            }
            let desk = services.desk(role);
            services.listening.serve(bound, desk);
        }
        services.listen_to_owner();
        services.work_in_background(worker);
        services
    }

    /// For as long as the node runs.
    fn desk(&self, role: Role) -> Arc<Desk> {
        Arc::new(Desk { node: Arc::clone(&self.node), role, stopping: self.node.stopping.clone() })
    }

    /// Without its socket a node runs all the same: only commands cannot ask it.
    fn listen_to_owner(&mut self) {
        let path = socket_path(&self.node.paths);
        match bind_socket(&path) {
            Ok(Some(listener)) => {
                let address = path.display().to_string();
                let config = ListenerConfig::uds(address.clone()).permissions(Permissions::from_mode(0o600));
                let desk = self.desk(Role::Owner);
                self.listening.accept("owner", address, listener.into_raw_fd(), config, desk);
                self.owners_socket = Some(OwnersSocket(path));
            }
            Ok(None) => tracing::info!("another node of this home answers its owner's commands"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no socket for the owner's commands")
            }
        }
    }

    fn work_in_background(&self, worker: Option<Bound>) {
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { node.prober.run(&node, node.stopping.clone()).await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { node.follow_files().await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { settling::run(&node).await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { tending::run(&node).await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { sharing::run(&node, worker).await });
        let node = Arc::clone(&self.node);
        self.node.tasks.spawn(async move { discover::run(&node).await });
        self.node.tasks.close();
    }

    /// Stops in order: no new connections, no new requests; what is in flight finishes within
    /// `grace`; then the background work; the books last. Gives the number of requests that were cut.
    pub async fn stop(self, grace: Duration) -> usize {
        self.node.stopping.cancel();
        self.listening.stop().await;
        self.node.open.close();
        let _ = tokio::time::timeout(grace, self.node.open.wait()).await;
        let cut = self.node.open.len();
        self.node.tasks.wait().await;
        let (ledger, work) = (self.node.ledger.clone(), self.node.work.clone());
        let close = move || {
            work.close();
            ledger.close();
        };
        let closed = tokio::task::spawn_blocking(close).await;
        if let Err(error) = closed {
            tracing::error!(%error, "ledger and work did not close");
        }
        cut
    }
}
