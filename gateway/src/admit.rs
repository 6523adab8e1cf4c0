//! Who may enter, and with what: host names, origins, keys, media type, the size and the time of a
//! body, and how many bodies at once.

use crate::{downstream::Downstream, failure::Failure};
use bytes::{Bytes, BytesMut};
use config::Gateway;
use http::{Method, header};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// All bodies in memory together. Reaching it makes further requests wait for their body's turn, up
/// to [`BODY_DEADLINE`].
pub const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A body must be there in full by then, or the request ends.
pub const BODY_DEADLINE: Duration = Duration::from_secs(600);

/// So long may pass without a byte of it.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The unit in which the memory for bodies is counted.
const BODY_UNIT: usize = 1024;

/// A body, and its share of the memory that all bodies have.
pub struct Body {
    pub bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// The memory for bodies.
pub fn body_memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BODIES_BYTES_MAX / BODY_UNIT))
}

/// Checks what a gateway asks of every request: the host name on loopback, the origin, the key.
/// Notes the origin that may read the answer.
pub fn admit(down: &mut Downstream, gateway: &Gateway, path: &str) -> Result<(), Failure> {
    if gateway.listen.ip().to_canonical().is_loopback() {
        host_allowed(down, gateway)?;
    }
    origin_allowed(down, gateway)?;
    let preflight = down.session.req_header().method == Method::OPTIONS && down.cross_origin.is_some();
    if preflight || matches!(path, "/healthz" | "/readyz") {
        return Ok(());
    }
    key_allowed(down, gateway)
}

fn host_allowed(down: &Downstream, gateway: &Gateway) -> Result<(), Failure> {
    let host = host_of(down).unwrap_or_default();
    let name = without_port(host);
    let known = ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own));
    if known
        || gateway.hosts.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host))
    {
        Ok(())
    } else {
        Err(Failure::HostNotAllowed { host: name.to_owned() })
    }
}

fn origin_allowed(down: &mut Downstream, gateway: &Gateway) -> Result<(), Failure> {
    let Some(value) = down.session.get_header(header::ORIGIN).cloned() else { return Ok(()) };
    let origin = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let own = host_of(down).is_some_and(|host| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    if own {
        return Ok(());
    }
    if gateway.cors_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(&origin)) {
        down.cross_origin = Some(value);
        return Ok(());
    }
    Err(Failure::OriginNotAllowed { origin })
}

fn key_allowed(down: &Downstream, gateway: &Gateway) -> Result<(), Failure> {
    if gateway.api_keys.is_empty() {
        return Ok(());
    }
    let given = down.header("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().as_bytes().to_vec())
    });
    let accepted = given.is_some_and(|given| gateway.accepts_key(&given));
    if accepted { Ok(()) } else { Err(Failure::InvalidApiKey) }
}

/// The authority that was asked for: `:authority` on HTTP/2, the Host header on HTTP/1.
fn host_of(down: &Downstream) -> Option<&str> {
    let request = down.session.req_header();
    request.uri.authority().map(|authority| authority.as_str()).or_else(|| down.header("host"))
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // The last colon is a port's only outside the brackets of an IPv6 address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

/// Reads a JSON body, whole, bounded in size and time. A failure here may leave part of the body
/// unread: answer with [`Downstream::fail_early`].
pub async fn read_json(down: &mut Downstream, max: u64, memory: &Arc<Semaphore>) -> Result<Body, Failure> {
    if !is_media_type(down, "application/json") {
        return Err(Failure::UnsupportedMediaType { expected: "application/json" });
    }
    read_body(down, max, memory).await
}

/// Reads a body of any media type, bounded as [`read_json`] does.
pub async fn read_body(down: &mut Downstream, max: u64, memory: &Arc<Semaphore>) -> Result<Body, Failure> {
    let announced = announced_bytes(down);
    if announced.is_some_and(|length| length > max) {
        return Err(Failure::TooLarge { max });
    }
    let deadline = Instant::now() + BODY_DEADLINE;
    // A chunked body says no length: it gets its share as it grows, a known one gets it at once.
    let mut share = reserve(memory, announced.unwrap_or(0) as usize, deadline).await?;
    let keepalive = say_continue(down).await?;
    let mut body = Assembly::default();
    while let Some(chunk) = next_chunk(down, deadline).await? {
        if body.len() as u64 + chunk.len() as u64 > max {
            return Err(Failure::TooLarge { max });
        }
        if announced.is_none() {
            share.merge(reserve(memory, chunk.len(), deadline).await?);
        }
        body.push(chunk, announced);
    }
    down.session.set_keepalive(keepalive);
    Ok(Body { bytes: body.finish(), _share: share })
}

/// What is to be set again with `set_keepalive` once the body is here.
pub type KeepAlive = Option<u64>;

/// Tells a requester that waits for it to send its body.
pub async fn say_continue(down: &mut Downstream) -> Result<KeepAlive, Failure> {
    // pingora gives up keep-alive while it says "continue", since the body is not there yet.
    let keepalive = down.session.get_keepalive();
    if down.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        down.session.write_continue_response().await.map_err(|_| Failure::RequestTimeout)?;
    }
    Ok(keepalive)
}

/// The next bytes of a body, which may not keep silent for long; `None` at its end.
pub async fn next_chunk(down: &mut Downstream, deadline: Instant) -> Result<Option<Bytes>, Failure> {
    let silence = (Instant::now() + BODY_SILENCE).min(deadline);
    let chunk = timeout_at(silence, down.session.read_request_body()).await;
    chunk.map_err(|_| Failure::RequestTimeout)?.map_err(|_| Failure::RequestTimeout)
}

/// How long the body is, if the requester says so.
pub fn announced_bytes(down: &Downstream) -> Option<u64> {
    down.header("content-length").and_then(|length| length.trim().parse().ok())
}

/// Whether the body is of this media type, whatever its parameters.
pub fn is_media_type(down: &Downstream, wanted: &str) -> bool {
    let media_type = down.header("content-type").unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

async fn reserve(
    memory: &Arc<Semaphore>,
    bytes: usize,
    deadline: Instant,
) -> Result<OwnedSemaphorePermit, Failure> {
    let units = bytes.div_ceil(BODY_UNIT).min(BODIES_BYTES_MAX / BODY_UNIT) as u32;
    let busy = Failure::Busy { retry_after: Duration::from_secs(1) };
    match timeout_at(deadline, Arc::clone(memory).acquire_many_owned(units)).await {
        Ok(Ok(share)) => Ok(share),
        _ => Err(busy),
    }
}

/// A body as it comes: one chunk stays as it is, several are joined.
#[derive(Default)]
struct Assembly {
    first: Bytes,
    rest: BytesMut,
}

impl Assembly {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn push(&mut self, chunk: Bytes, announced: Option<u64>) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            // `announced` passed the bound on bodies, so this reserves no more than a body may have.
            self.rest.reserve(announced.unwrap_or(0) as usize);
            let first = std::mem::take(&mut self.first);
            self.rest.extend_from_slice(&first);
        }
        self.rest.extend_from_slice(&chunk);
    }

    fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
