//! A small Nostr relay for a closed group: `lobstah relay start`, the demo, tests.
//!
//! nostr-relay-builder's `LocalRelay` speaks the protocol. What it leaves unbounded is bounded here:
//! we listen ourselves (a port of 0 becomes a real one without a race), `door.rs` lets through
//! messages of bounded size, number and kind, `shelf.rs` keeps a bounded number of events, and
//! `rules.rs` takes none but Lobstah's own. It keeps nothing on disk: nodes announce themselves again
//! within minutes, and at once when they are connected again.

mod door;
mod rules;
mod shelf;
mod store;

use door::Door;
use nostr_relay_builder::{LocalRelay, RelayBuilder, builder::RateLimit};
use protocol::Timestamp;
use rules::Rules;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use store::Store;
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// Connections at once; a further one is closed unanswered.
pub const CONNECTIONS_MAX: usize = 256;

/// Subscriptions of one connection; a further one is refused.
const SUBSCRIPTIONS_MAX: usize = 20;

/// Events of one connection in a minute; more are refused.
const EVENTS_PER_MINUTE: u32 = 240;

/// How long to wait when the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// The relay cannot be started there.
#[derive(Debug, thiserror::Error)]
#[error("the relay cannot listen on {address}: {source}; choose another address or port")]
pub struct CannotListen {
    address: SocketAddr,
    source: io::Error,
}

/// A running relay.
#[derive(Debug)]
pub struct GroupRelay {
    address: SocketAddr,
    url: Url,
    stopping: CancellationToken,
    serving: TaskTracker,
}

impl GroupRelay {
    /// Listens on `address`, with port 0 on some free port, and serves until [`GroupRelay::stop`], or
    /// until it is dropped. Its task is on `tasks`, and ends when all connections have. `clock`
    /// decides what has expired.
    pub async fn start(
        address: SocketAddr,
        clock: fn() -> Timestamp,
        tasks: &TaskTracker,
    ) -> Result<Self, CannotListen> {
        let cannot = |source| CannotListen { address, source };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let url = Url::parse(&format!("ws://{address}")).map_err(|e| cannot(io::Error::other(e)))?;
        let (stopping, serving) = (CancellationToken::new(), TaskTracker::new());
        let door = Door { relay: speaker(clock), clock, stopping: stopping.clone() };
        tasks.spawn(serving.track_future(serve(listener, Arc::new(door))));
        serving.close();
        Ok(Self { address, url, stopping, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where nodes find it, if they can reach that address: `ws://…`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Closes all connections, and returns when they are closed.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.serving.wait().await;
    }
}

impl Drop for GroupRelay {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn speaker(clock: fn() -> Timestamp) -> LocalRelay {
    let store = Arc::new(Store::new(clock));
    let builder = RelayBuilder::default()
        .database(Arc::clone(&store))
        .write_policy(Rules { store, clock })
        .rate_limit(RateLimit { max_reqs: SUBSCRIPTIONS_MAX, notes_per_minute: EVENTS_PER_MINUTE })
        .default_filter_limit(shelf::EVENTS_MAX)
        .max_filter_limit(shelf::EVENTS_MAX);
    LocalRelay::new(builder)
}

/// Until it is time to stop, and all connections are closed.
async fn serve(listener: TcpListener, door: Arc<Door>) {
    let (room, connections) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    let accepting = accept(&listener, &door, &room, &connections);
    let _ = door.stopping.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    door: &Arc<Door>,
    room: &Arc<Semaphore>,
    connections: &TaskTracker,
) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((tcp, from)) => {
                let Ok(permit) = Arc::clone(room).try_acquire_owned() else { continue };
                let door = Arc::clone(door);
                connections.spawn(async move {
                    door.serve(tcp, from).await;
                    drop(permit);
                });
            }
            // Of files or memory. Those connections wait in the system's queue.
            Err(_) => sleep(NO_ROOM).await,
        }
    }
}
