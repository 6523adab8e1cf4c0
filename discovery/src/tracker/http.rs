//! HTTP to those who may be anybody: no redirects, bounded in time and length.

use reqwest::{Client, Response, redirect};
use std::time::Duration;
use url::{Host, Url};

/// One request, from connecting to the last byte.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A client for one server. Names its proxy from the environment, unless the server is this machine.
pub(crate) fn client(url: &Url) -> Result<Client, reqwest::Error> {
    install_crypto();
    let mut builder = Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT);
    if is_this_machine(url) {
        builder = builder.no_proxy();
    }
    match url.scheme() {
        "https" => builder.build(),
        // Plain http needs no certificates: loading the system's takes time, and fails where there are none.
        _ => builder.tls_certs_only([]).build(),
    }
}

/// The body of an answer, up to `bytes_max`; `None` if it is longer. Of a long one no more is read.
pub(crate) async fn body(
    mut response: Response,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// reqwest wants a provider even for plain http, and TLS panics where none is chosen. It is the one that pingora brings; if the process has
/// chosen already, that choice stays.
pub(crate) fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Refused only if another thread was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
