//! The tracker: a list of announcements over HTTP, for where WebSockets are blocked (SPEC section 5).
//!
//! It is no node: it has no key, asks nobody and connects to nobody. What it lists is signed, so it can leave
//! workers out and lie about nothing.

use crate::{
    admit,
    app::Handler,
    clock,
    downstream::{Downstream, Gone},
    failure::Failure,
};
use bytes::Bytes;
use discovery::{
    event::{self, Checked, Refused, Rules},
    roster::{Limits, Roster, TakenIn},
    tracker::{
        RateLimit,
        wire::{Reason, Registered, Rejection, Removed, peers_json},
    },
};
use http::Method;
use parking_lot::Mutex;
use protocol::{Announcement, Signed, Unannounce, limits::STATEMENT_BYTES_MAX, unannounce::NotWithdrawn};
use serde::Serialize;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Requests of one address in a minute: an announcement every half of the shortest time to live, and a
/// gateway that asks three times a minute, for a household of many.
const PER_MINUTE: u32 = 60;

/// Of these, at once after a pause.
const BURST: u32 = 60;

/// So many workers are listed, the newest: what clients read.
const LISTED_MAX: usize = 20_000;

/// The list is cut before it is longer: what clients read.
const LISTED_BYTES_MAX: usize = 15 * 1024 * 1024;

/// A list is given for so long ...
const LIST_AGE: Duration = Duration::from_secs(1);

/// ... or, when something changed, for so long.
const LIST_AGE_MIN: Duration = Duration::from_millis(100);

/// A reader that takes less than this ...
const SLOW_READER_BYTES: usize = 16 * 1024;
/// ... in this long is cut.
const SLOW_READER_WITHIN: Duration = Duration::from_secs(30);

/// A running tracker.
pub struct Tracker {
    roster: Mutex<Roster<()>>,
    limit: Mutex<RateLimit>,
    /// The list as it was made last.
    made: Mutex<Option<(Instant, Bytes)>>,
    body_memory: Arc<Semaphore>,
    pub stopping: CancellationToken,
    pub open: TaskTracker,
}

impl Tracker {
    pub fn new() -> Self {
        let seed = getrandom::u64().unwrap_or_default();
        Self {
            roster: Mutex::new(Roster::new(Limits::default(), seed)),
            limit: Mutex::new(RateLimit::new(PER_MINUTE, BURST, tokio::time::Instant::now())),
            made: Mutex::default(),
            body_memory: admit::body_memory(),
            stopping: CancellationToken::new(),
            open: TaskTracker::new(),
        }
    }

    async fn list(&self, down: &mut Downstream) -> Result<(), Gone> {
        down.cut_readers_slower_than(SLOW_READER_BYTES, SLOW_READER_WITHIN);
        let list = self.listed();
        down.answer(200, "application/json", &[], list).await
    }

    /// Made once a second at the most, and shared by all who read it.
    fn listed(&self) -> Bytes {
        let mut made = self.made.lock();
        if let Some((at, list)) = &*made
            && at.elapsed() < LIST_AGE
        {
            return list.clone();
        }
        let entries = {
            let mut roster = self.roster.lock();
            roster.expire(clock::now());
            roster.newest(LISTED_MAX, clock::now())
        };
        let mut bytes = 0;
        let fits = |signed: &String| {
            bytes += signed.len() + 1;
            bytes <= LISTED_BYTES_MAX
        };
        let signed: Vec<String> = entries.iter().map(|entry| entry.signed_json()).take_while(fits).collect();
        let list = Bytes::from(peers_json(&signed));
        *made = Some((Instant::now(), list.clone()));
        list
    }

    /// What was announced or withdrawn shows in the next list.
    fn list_is_old(&self) {
        let mut made = self.made.lock();
        if made.as_ref().is_some_and(|(at, _)| at.elapsed() >= LIST_AGE_MIN) {
            *made = None;
        }
    }

    async fn announce(&self, down: &mut Downstream) -> Result<(), Gone> {
        let body = match self.body(down).await {
            Ok(body) => body,
            Err(failure) => return down.fail_early(&failure).await,
        };
        let Ok(signed) = Signed::<Announcement>::parse(&body) else {
            return down.json(400, &Rejection::bad_json()).await;
        };
        let (pubkey, ttl_seconds) = (signed.unverified().node, signed.unverified().ttl_seconds);
        let checked = event::from_tracker(signed, clock::now(), Rules::Listed);
        let taken = checked.map(|checked| {
            let mut roster = self.roster.lock();
            let taken = roster.take_in(checked, clock::now());
            (taken, roster.len() as u64)
        });
        self.list_is_old();
        match taken {
            Ok((TakenIn::Older | TakenIn::Gone, _)) => down.json(400, &Rejection::of(Reason::Stale)).await,
            Ok((TakenIn::NoRoom, _)) => {
                let message = "this tracker lists as many workers as it can".to_owned();
                down.fail(&Failure::Internal { message }).await
            }
            Ok((_, registered_count)) => {
                down.json(200, &Registered { ok: true, pubkey, ttl_seconds, registered_count }).await
            }
            Err(refused) => down.json(400, &Rejection::of(reason(refused))).await,
        }
    }

    async fn unannounce(&self, down: &mut Downstream) -> Result<(), Gone> {
        let body = match self.body(down).await {
            Ok(body) => body,
            Err(failure) => return down.fail_early(&failure).await,
        };
        let Ok(word) = Unannounce::parse(&body) else {
            return down.json(400, &Rejection::bad_json()).await;
        };
        match word.verify(clock::now()) {
            Ok(withdrawal) => {
                let taken = self.roster.lock().take_in(Checked::Withdrawn(withdrawal), clock::now());
                let removed = matches!(taken, TakenIn::Withdrawn { .. });
                self.list_is_old();
                down.json(200, &Removed { ok: true, removed }).await
            }
            Err(not) => {
                let reason = match not {
                    NotWithdrawn::Stale => Reason::Stale,
                    NotWithdrawn::Future => Reason::Future,
                    NotWithdrawn::BadSignature => Reason::BadSignature,
                };
                down.json(400, &Rejection::of(reason)).await
            }
        }
    }

    /// A statement, whatever the first Lobstah calls its media type.
    async fn body(&self, down: &mut Downstream) -> Result<Bytes, Failure> {
        let body = admit::read_body(down, STATEMENT_BYTES_MAX as u64, &self.body_memory).await?;
        Ok(body.bytes)
    }

    fn admit(&self, down: &Downstream) -> Result<(), Failure> {
        let address = down.session.client_addr().and_then(|address| address.as_inet());
        let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let admitted = self.limit.lock().admit(address, tokio::time::Instant::now());
        admitted.map_err(|wait| Failure::TooMany { retry_after: wait.0 })
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Handler for Tracker {
    fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    fn open(&self) -> &TaskTracker {
        &self.open
    }

    async fn serve(&self, down: &mut Downstream) -> Result<(), Gone> {
        let request = down.session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let allow = match path.as_str() {
            "/" | "/healthz" | "/peers" => "GET, HEAD",
            "/announce" | "/unannounce" => "POST",
            _ => return down.fail_early(&Failure::NotFound { what: format!("the route {path}") }).await,
        };
        let reads = matches!(method, Method::GET | Method::HEAD);
        if reads != (allow != "POST") || !(reads || method == Method::POST) {
            return down.fail_early(&Failure::MethodNotAllowed { allow }).await;
        }
        if path != "/healthz"
            && let Err(failure) = self.admit(down)
        {
            return down.fail_early(&failure).await;
        }
        match path.as_str() {
            "/peers" => self.list(down).await,
            "/announce" => self.announce(down).await,
            "/unannounce" => self.unannounce(down).await,
            _ => down.json(200, &Welcome { status: "ok", tracker: env!("CARGO_PKG_VERSION") }).await,
        }
    }
}

#[derive(Serialize)]
struct Welcome {
    status: &'static str,
    tracker: &'static str,
}

/// The first Lobstah knows three reasons; everything that is wrong with the form or the key is the first.
fn reason(refused: Refused) -> Reason {
    match refused {
        Refused::Stale | Refused::Expired => Reason::Stale,
        Refused::Future => Reason::Future,
        _ => Reason::BadSignature,
    }
}
