//! A WebSocket to a relay, bounded in what it takes in.

use crate::tracker::http::install_crypto;
use async_wsocket::WebSocket;
use futures::future::select_ok;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    client_async_tls_with_config,
    tungstenite::{self, handshake::client::Response, protocol::WebSocketConfig},
};
use url::Url;

/// A longer message ends the connection: the WebSocket layer cannot skip it. Much longer than what
/// is read ([`super::FRAME_BYTES_MAX`]), so that one overlong event that somebody planted on an
/// honest relay costs us that event and not the relay.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// What may wait to be written, when a relay does not read.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// Read at once; allocated for every connection.
const READ_BYTES: usize = 16 * 1024;

/// An attempt at the next address starts this long after the one before (RFC 8305): a network whose
/// IPv6 leads nowhere is common.
const STAGGER: Duration = Duration::from_millis(250);

/// Of more addresses than this, the rest are not tried.
const ADDRESSES_MAX: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    /// Not `ws://` or `wss://` with a host.
    #[error("{0} is no relay's address; it starts with wss:// or ws://")]
    NotARelay(Box<Url>),
    /// The name is unknown, or nothing answers there.
    #[error("nobody answers: {0}")]
    Unreachable(#[from] io::Error),
    /// Something answers that is no relay, or the certificate is not good.
    #[error("no WebSocket: {0}")]
    NoWebSocket(#[from] Box<tungstenite::Error>),
    /// It took too long.
    #[error("no connection within {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// Connects. Gives the answer to the handshake too, for its headers.
pub(crate) async fn open(url: &Url, patience: Duration) -> Result<(WebSocket, Response), NoConnection> {
    timeout(patience, connect(url)).await.map_err(|_| NoConnection::TooSlow(patience))?
}

async fn connect(url: &Url) -> Result<(WebSocket, Response), NoConnection> {
    let address = url.host_str().zip(url.port_or_known_default());
    let (host, port) = address
        .filter(|_| matches!(url.scheme(), "ws" | "wss"))
        .ok_or_else(|| NoConnection::NotARelay(Box::new(url.clone())))?;
    // An IPv6 address stands in brackets in a URL and in none elsewhere.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
    let tcp = first_to_answer(addresses).await?;
    tcp.set_nodelay(true)?;
    install_crypto();
    let (socket, response) =
        client_async_tls_with_config(url.as_str(), tcp, Some(bounds()), None).await.map_err(Box::new)?;
    Ok((WebSocket::Tokio(socket), response))
}

async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let attempts = (0..).zip(addresses).map(|(nth, address)| {
        Box::pin(async move {
            sleep(STAGGER * nth).await;
            TcpStream::connect(address).await
        })
    });
    Ok(select_ok(attempts).await?.0)
}

/// The bounds of every WebSocket to a relay.
fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(UNWRITTEN_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Whether a message was too long to be read.
pub(crate) fn was_too_long(error: &async_wsocket::Error) -> bool {
    matches!(error, async_wsocket::Error::Ws(tungstenite::Error::Capacity(_)))
}
