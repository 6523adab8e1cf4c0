//! The side that connected to us: one request, and the answer as far as it went out.

use crate::{failure::Failure, tally::Tally};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use protocol::carriers::WAITING_COMMENT;
use serde::Serialize;
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::Instant;

/// While nothing else is sent in a stream, a comment goes out this often (SPEC section 7).
pub const WAITING_EVERY: Duration = Duration::from_secs(15);

/// Up to this much of a stream, with the frame around it, goes out in one write.
pub const WRITE_BYTES: usize = 2 * 1024;

/// After an answer that came before the whole body: the rest is read for so long, so that the
/// requester sees the answer and not a reset.
const DRAIN: Duration = Duration::from_secs(2);

/// The requester is not there any more. Whatever was being done for it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// One request of a requester and the way back to it.
pub struct Downstream {
    pub session: ServerSession,
    pub request_id: HeaderValue,
    /// The foreign origin that the owner allowed and that asked.
    pub cross_origin: Option<HeaderValue>,
    streaming: bool,
    /// Longer writes are cut into pieces of this size, so that a slow reader's progress is seen.
    piece_bytes: usize,
    last_write: Instant,
    /// Of the body that was sent, where a receipt is to speak of it.
    tally: Option<Box<Tally>>,
}

impl Downstream {
    /// A request whose head is still to be read; its id comes with it.
    pub fn new(session: ServerSession) -> Self {
        Self {
            session,
            request_id: HeaderValue::from_static(""),
            cross_origin: None,
            streaming: false,
            piece_bytes: WRITE_BYTES,
            last_write: Instant::now(),
            tally: None,
        }
    }

    /// Counts what is sent of the body from here on.
    pub fn keep_tally(&mut self) {
        self.tally = Some(Box::default());
    }

    /// What was sent of the body.
    pub fn tally(&self) -> Tally {
        self.tally.as_deref().cloned().unwrap_or_default()
    }

    /// Whether the header of a stream went out: from here on there is no other status.
    pub fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// A request header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.session.get_header(name).and_then(|value| value.to_str().ok())
    }

    /// Cuts the requester off if it takes less than `bytes` in this long while data waits for it.
    pub fn cut_readers_slower_than(&mut self, bytes: usize, within: Duration) {
        let per_second = (bytes as u64).div_ceil(within.as_secs().max(1)) as usize;
        self.session.set_min_send_rate(Some(per_second));
        // HTTP/2 knows no rate, so a piece there has a time.
        if self.session.is_http2() {
            self.session.set_write_timeout(Some(2 * within));
        }
        self.piece_bytes = 2 * bytes;
    }

    /// Answers in full: status, headers, body with its length.
    pub async fn answer(
        &mut self,
        status: u16,
        content_type: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<(), Gone> {
        let mut response = self.response(status, content_type)?;
        insert(&mut response, header::CONTENT_LENGTH, body.len().to_string())?;
        for (name, value) in headers {
            insert(&mut response, HeaderName::from_static(name), value.clone())?;
        }
        // Boxed here and in the failures below, since almost every state of a request can end in one
        // of them and none should hold room for it.
        let sent = Box::pin(async {
            self.session.write_response_header(Box::new(response)).await.map_err(|_| Gone)?;
            self.pieces(body, true).await
        });
        sent.await
    }

    /// Begins an answer of `bytes` bytes that follow with [`Downstream::send`]; end it with
    /// [`Downstream::finish_stream`].
    pub async fn start(
        &mut self,
        status: u16,
        content_type: &str,
        headers: &[(&'static str, String)],
        bytes: u64,
    ) -> Result<(), Gone> {
        let mut response = self.response(status, content_type)?;
        insert(&mut response, header::CONTENT_LENGTH, bytes.to_string())?;
        for (name, value) in headers {
            insert(&mut response, HeaderName::from_static(name), value.clone())?;
        }
        self.session.write_response_header(Box::new(response)).await.map_err(|_| Gone)
    }

    /// Answers with JSON.
    pub async fn json(&mut self, status: u16, value: &impl Serialize) -> Result<(), Gone> {
        let body = serde_json::to_vec(value).unwrap_or_default();
        self.answer(status, "application/json", &[], body.into()).await
    }

    /// Answers with an error; in a stream that has begun, as its last event.
    pub async fn fail(&mut self, failure: &Failure) -> Result<(), Gone> {
        let body = serde_json::to_vec(&failure.body()).unwrap_or_default();
        if !self.streaming {
            let headers = failure.headers();
            return Box::pin(self.answer(failure.status(), "application/json", &headers, body.into())).await;
        }
        let event = [b"data: ".as_slice(), &body, b"\n\n"].concat();
        Box::pin(async {
            self.send(event.into()).await?;
            self.finish_stream().await
        })
        .await
    }

    /// Answers before the body was read to its end, then reads what is still coming for a moment.
    pub async fn fail_early(&mut self, failure: &Failure) -> Result<(), Gone> {
        self.session.set_keepalive(None);
        Box::pin(async {
            self.fail(failure).await?;
            let rest = self.session.drain_request_body();
            let _ = tokio::time::timeout(DRAIN, rest).await;
            Ok(())
        })
        .await
    }

    /// Begins an event stream, unless it has begun.
    pub async fn start_stream(&mut self, headers: &[(&'static str, String)]) -> Result<(), Gone> {
        if self.streaming {
            return Ok(());
        }
        let mut response = self.response(200, "text/event-stream")?;
        insert(&mut response, header::CACHE_CONTROL, "no-cache")?;
        if self.session.req_header().version == Version::HTTP_11 {
            insert(&mut response, header::TRANSFER_ENCODING, "chunked")?;
        }
        for (name, value) in headers {
            insert(&mut response, HeaderName::from_static(name), value.clone())?;
        }
        self.streaming = true;
        self.session.write_response_header(Box::new(response)).await.map_err(|_| Gone)
    }

    /// Sends a part of a stream; returns when the requester took it, which slows the upstream to its
    /// pace.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.last_write = Instant::now();
        self.pieces(bytes, false).await
    }

    /// Ends a stream.
    pub async fn finish_stream(&mut self) -> Result<(), Gone> {
        self.session.write_response_body(Bytes::new(), true).await.map_err(|_| Gone)
    }

    /// Tells a waiting requester of a stream that it is not forgotten.
    pub async fn say_waiting(&mut self) -> Result<(), Gone> {
        Box::pin(async {
            self.start_stream(&[]).await?;
            self.send(Bytes::from_static(WAITING_COMMENT)).await
        })
        .await
    }

    /// When the next `: waiting` is due.
    pub fn waiting_due(&self) -> Instant {
        self.last_write + WAITING_EVERY
    }

    /// Resolves when the requester left.
    pub async fn gone(&mut self) -> Gone {
        loop {
            if self.session.read_body_or_idle(true).await.is_err() {
                return Gone;
            }
        }
    }

    /// Runs `work` while the requester is there; a streamed one is kept alive meanwhile.
    pub async fn attend<T>(&mut self, streamed: bool, work: impl Future<Output = T>) -> Result<T, Gone> {
        let mut work = pin!(work);
        loop {
            let due = self.waiting_due();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                gone = self.gone() => return Err(gone),
                () = tokio::time::sleep_until(due), if streamed => self.say_waiting().await?,
            }
        }
    }

    async fn pieces(&mut self, mut bytes: Bytes, end: bool) -> Result<(), Gone> {
        if let Some(tally) = &mut self.tally {
            tally.add(&bytes);
        }
        while bytes.len() > self.piece_bytes {
            let piece = bytes.split_to(self.piece_bytes);
            self.session.write_response_body(piece, false).await.map_err(|_| Gone)?;
        }
        self.session.write_response_body(bytes, end).await.map_err(|_| Gone)
    }

    fn response(&self, status: u16, content_type: &str) -> Result<ResponseHeader, Gone> {
        let mut response = ResponseHeader::build_no_case(status, Some(6)).map_err(|_| Gone)?;
        insert(&mut response, header::CONTENT_TYPE, content_type)?;
        insert(&mut response, HeaderName::from_static("x-request-id"), self.request_id.clone())?;
        if let Some(origin) = &self.cross_origin {
            insert(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
            insert(&mut response, header::VARY, "origin")?;
        }
        Ok(response)
    }
}

fn insert<V: TryInto<HeaderValue>>(
    response: &mut ResponseHeader,
    name: HeaderName,
    value: V,
) -> Result<(), Gone> {
    // A value that is no header value can only come from an upstream; the answer goes on without it.
    if let Ok(value) = value.try_into() {
        response.insert_header(name, value).map_err(|_| Gone)?;
    }
    Ok(())
}
