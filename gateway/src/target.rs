//! From a URL to a connection: resolve, check the address, connect to the very address that was
//! checked (SPEC section 10). The one seam through which a peer is dialled.

use discovery::{Dialable, Trust, address::NotDialable};
use pingora_core::{
    Error, ErrorType,
    connectors::{ConnectorOptions, http::Connector},
    protocols::{TcpKeepalive, http::client::HttpSession},
    upstreams::peer::HttpPeer,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use url::{Host, Url};

/// A connection, TLS included, must stand within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A machine that takes no packet for so long is not there any more.
#[cfg(target_os = "linux")]
const VANISHED_AFTER: Duration = Duration::from_secs(30);

/// An idle pooled connection is closed after this long.
const POOLED_IDLE: Duration = Duration::from_secs(60);

/// So many idle connections are kept, all upstreams together.
const POOL_SIZE: usize = 1024;

/// Where an upstream is and how far its address is trusted.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `host` or `host:port`, for the Host header.
    pub authority: String,
    /// What the URL's path puts before `/v1/…`; no trailing slash.
    pub base_path: String,
    host: Host<String>,
    port: u16,
    tls: bool,
    trust: Trust,
    /// Made once where the URL names an address: nothing to resolve.
    fixed: Option<Arc<HttpPeer>>,
}

/// A URL that cannot be dialled: no host, or not http(s).
#[derive(Debug, thiserror::Error)]
#[error("{url} is not an http or https URL with a host")]
pub struct NotADestination {
    url: Url,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("connection refused")]
    Refused,
    #[error("not reachable")]
    Unreachable,
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the name does not resolve")]
    NoName,
    #[error(transparent)]
    NotDialable(#[from] NotDialable),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("{0}")]
    Other(String),
}

/// A connection that is ours until it is given back or dropped. Dropping closes it, which is how an
/// upstream learns that its work is not wanted any more.
pub struct Connection {
    pub session: HttpSession,
    /// Whether it was used before: a failure before the first byte may then be the connection's.
    pub reused: bool,
    peer: Arc<HttpPeer>,
}

/// All connections to upstreams: the pool and the rules.
pub struct Connections {
    connector: Connector,
    block_private: bool,
}

impl Connections {
    /// `block_private` is `LOBSTAH_BLOCK_PRIVATE_ADDRS=1`.
    pub fn new(block_private: bool) -> Self {
        Self { connector: Connector::new(Some(ConnectorOptions::new(POOL_SIZE))), block_private }
    }

    /// A connection from the pool or a new one. `fresh` keeps away from the pool.
    pub async fn open(&self, to: &Destination, fresh: bool) -> Result<Connection, ConnectError> {
        let mut peer = self.resolve(to).await?;
        if fresh {
            // Another group is another pool, and this one is always empty: see `give_back`.
            Arc::make_mut(&mut peer).group_key = FRESH;
        }
        // Boxed: dialling takes 9 KiB of state, which would stay with the request as long as it lasts.
        let dial = Box::pin(self.connector.get_http_session(&*peer));
        let (session, reused) = dial.await.map_err(connect_error)?;
        Ok(Connection { session, reused, peer })
    }

    /// Returns a connection whose answer was read to its end.
    pub async fn give_back(&self, mut connection: Connection) {
        if connection.peer.group_key == FRESH {
            Arc::make_mut(&mut connection.peer).group_key = 0;
        }
        let idle = Some(POOLED_IDLE);
        self.connector.release_http_session(connection.session, &*connection.peer, idle).await;
    }

    async fn resolve(&self, to: &Destination) -> Result<Arc<HttpPeer>, ConnectError> {
        if let Some(peer) = &to.fixed {
            Dialable::check(to.fixed_address(), to.trust, self.block_private)?;
            return Ok(Arc::clone(peer));
        }
        let Host::Domain(name) = &to.host else { return Err(ConnectError::NoName) };
        let found = tokio::net::lookup_host((name.as_str(), to.port)).await;
        let mut refused = ConnectError::NoName;
        for address in found.map_err(|_| ConnectError::NoName)? {
            match Dialable::check(address, to.trust, self.block_private) {
                Ok(address) => return Ok(Arc::new(to.peer_at(address.socket_addr()))),
                Err(not_dialable) => refused = not_dialable.into(),
            }
        }
        Err(refused)
    }
}

/// Marks a connection that must not come from the pool.
const FRESH: u64 = 1;

impl Destination {
    /// Reads a URL: scheme, host, port, and a path that stands before the routes.
    pub fn new(url: &Url, trust: Trust) -> Result<Self, NotADestination> {
        let bad = || NotADestination { url: url.clone() };
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(bad()),
        };
        let host = url.host().ok_or_else(bad)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let base_path = url.path().trim_end_matches('/').to_owned();
        let mut this = Self { authority, base_path, host, port, tls, trust, fixed: None };
        if this.literal().is_some() {
            this.fixed = Some(Arc::new(this.peer_at(this.fixed_address())));
        }
        Ok(this)
    }

    fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
            Host::Domain(_) => None,
        }
    }

    fn fixed_address(&self) -> SocketAddr {
        SocketAddr::new(self.literal().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)), self.port)
    }

    fn peer_at(&self, address: SocketAddr) -> HttpPeer {
        // Never an empty name: pingora's rustls connector takes that as "do not check the certificate".
        let name = match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let mut peer = HttpPeer::new(address, self.tls, name);
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        // A machine that vanished without a word is found out while a long answer is waited for.
        peer.options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(20),
            interval: Duration::from_secs(10),
            count: 3,
            // Also while a request is on its way to it, when keepalive is silent (tcp(7), TCP_USER_TIMEOUT).
            #[cfg(target_os = "linux")]
            user_timeout: VANISHED_AFTER,
        });
        peer
    }
}

fn connect_error(error: Box<Error>) -> ConnectError {
    match error.etype() {
        ErrorType::ConnectRefused => ConnectError::Refused,
        ErrorType::ConnectNoRoute => ConnectError::Unreachable,
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => ConnectError::TimedOut,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            ConnectError::Tls(innermost(&error))
        }
        _ => ConnectError::Other(innermost(&error)),
    }
}

/// The innermost cause in its own words; pingora's wrappers name files and types.
pub fn innermost(error: &Error) -> String {
    match &error.cause {
        Some(cause) => match cause.downcast_ref::<Box<Error>>() {
            Some(inner) => innermost(inner),
            None => cause.to_string(),
        },
        None => error.context.as_ref().map_or(error.etype.as_str(), |context| context.as_str()).to_owned(),
    }
}
