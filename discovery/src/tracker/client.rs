//! Announcing to a tracker, leaving it, and reading its list.
//!
//! Nothing that it lists is believed here: signatures are checked by who takes the announcements in.

use super::{
    http,
    wire::{PEERS_VERSION, Reason, Registered, Rejected, Rejection, Removed},
};
use protocol::{Announcement, Signed, Unannounce, Verified};
use reqwest::{RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;
use tokio::task::yield_now;
use url::Url;

/// A longer list is given up while it is read.
pub const PEERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Of a list of more, the rest is left.
pub const PEERS_MAX: usize = 20_000;

/// The other answers are far shorter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Announcements read before others get their turn: a few milliseconds.
const READ_AT_ONCE: usize = 64;

/// One tracker. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    url: Url,
    http: reqwest::Client,
}

/// What a tracker lists.
#[derive(Debug, Default)]
pub struct Listed {
    /// Announcements of good form. Signatures are not checked.
    pub peers: Vec<Signed<Announcement>>,
    /// Entries that are none.
    pub malformed: usize,
    /// Entries beyond [`PEERS_MAX`], unread.
    pub beyond: usize,
}

/// Why a tracker was of no use.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// Not http or https.
    #[error("{0} is no tracker's address; it starts with https:// or http://")]
    NotATracker(Box<Url>),
    /// HTTP cannot be spoken here, for lack of certificates say.
    #[error("no http client can be made: {0}")]
    NoClient(reqwest::Error),
    /// Nobody answers there.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It took more than 10 s.
    #[error("no answer within {} s", http::TIMEOUT.as_secs())]
    TooSlow,
    /// The answer was given up while it was read.
    #[error("its answer is longer than {bytes_max} bytes")]
    TooLong {
        /// The most that is read.
        bytes_max: usize,
    },
    /// It does not believe our statement.
    #[error("refused: {0}")]
    Refused(Reason),
    /// It answers otherwise; a redirect is not followed.
    #[error("answers with status {0}; is this the address of a tracker?")]
    Status(u16),
    /// Not the answer of a tracker.
    #[error("its answer is not a tracker's: {0}")]
    NotUnderstood(String),
}

impl Client {
    /// For the tracker at `url`: http or https, and a path if its routes are below one. Connects to
    /// nothing yet.
    pub fn new(url: Url) -> Result<Self, TrackerError> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(TrackerError::NotATracker(Box::new(url)));
        }
        let http = http::client(&url).map_err(TrackerError::NoClient)?;
        Ok(Self { url, http })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// `POST /announce`.
    pub async fn announce(&self, announcement: &Verified<Announcement>) -> Result<Registered, TrackerError> {
        self.post("/announce", announcement.to_json()).await
    }

    /// `POST /unannounce`. Gives whether the tracker had us.
    pub async fn unannounce(&self, word: &Unannounce) -> Result<bool, TrackerError> {
        let removed: Removed = self.post("/unannounce", word.to_json()).await?;
        Ok(removed.removed)
    }

    /// `GET /peers`.
    pub async fn peers(&self) -> Result<Listed, TrackerError> {
        let body = self.ask(self.http.get(self.address("/peers")), PEERS_BYTES_MAX).await?;
        let answer: PeersAnswer<'_> = understood(&body)?;
        if answer.version != PEERS_VERSION {
            return Err(TrackerError::NotUnderstood(format!("its list is of version {}", answer.version)));
        }
        let mut listed = Listed { beyond: answer.peers.beyond, ..Listed::default() };
        for some in answer.peers.texts.chunks(READ_AT_ONCE) {
            for text in some {
                match Signed::parse(text.get().as_bytes()) {
                    Ok(signed) => listed.peers.push(signed),
                    Err(_) => listed.malformed += 1,
                }
            }
            yield_now().await;
        }
        Ok(listed)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, json: String) -> Result<T, TrackerError> {
        let request = self.http.post(self.address(path)).header(CONTENT_TYPE, "application/json").body(json);
        understood(&self.ask(request, ANSWER_BYTES_MAX).await?)
    }

    async fn ask(&self, request: RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, TrackerError> {
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let bytes_max = if status == StatusCode::OK { bytes_max } else { ANSWER_BYTES_MAX };
        let body = http::body(response, bytes_max).await.map_err(broken)?;
        let body = body.ok_or(TrackerError::TooLong { bytes_max })?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::BAD_REQUEST => Err(refused(&body)),
            other => Err(TrackerError::Status(other.as_u16())),
        }
    }

    fn address(&self, path: &str) -> Url {
        let mut address = self.url.clone();
        address.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        address
    }
}

fn broken(error: reqwest::Error) -> TrackerError {
    if error.is_timeout() {
        return TrackerError::TooSlow;
    }
    // reqwest's own words name the URL, which the caller knows; the cause is what helps.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    TrackerError::Unreachable(cause.to_string())
}

fn refused(body: &[u8]) -> TrackerError {
    match serde_json::from_slice(body) {
        Ok(Rejection { error: Rejected::Rejected { reason } }) => TrackerError::Refused(reason),
        _ => TrackerError::Status(StatusCode::BAD_REQUEST.as_u16()),
    }
}

fn understood<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, TrackerError> {
    serde_json::from_slice(body).map_err(|error| TrackerError::NotUnderstood(error.to_string()))
}

#[derive(Deserialize)]
struct PeersAnswer<'a> {
    version: u32,
    #[serde(borrow)]
    peers: Entries<'a>,
}

/// The first entries as text; a count of those beyond, which could be millions of `0`.
#[derive(Default)]
struct Entries<'a> {
    texts: Vec<&'a RawValue>,
    beyond: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(First)
    }
}

struct First;

impl<'de> Visitor<'de> for First {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of signed announcements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Entries::default();
        while entries.texts.len() < PEERS_MAX {
            match list.next_element()? {
                Some(text) => entries.texts.push(text),
                None => return Ok(entries),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            entries.beyond += 1;
        }
        Ok(entries)
    }
}
