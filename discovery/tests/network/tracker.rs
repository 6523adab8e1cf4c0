//! Trackers of all sorts, and what their client makes of them.

use super::support::{announcement, clock, soon};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use discovery::tracker::{
    Client, PEERS_MAX, TrackerError,
    wire::{Reason, peers_json},
};
use futures::stream;
use parking_lot::Mutex;
use protocol::{Announcement, Keypair, Signed, Unannounce};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// A tracker that gives one answer to everything, and remembers what it was asked.
pub(crate) struct Tracker {
    pub(crate) url: Url,
    seen: Seen,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

type Answer = Arc<dyn Fn(&str) -> Response + Send + Sync>;
type Seen = Arc<Mutex<Vec<(String, String)>>>;

async fn answer(State((answer, seen)): State<(Answer, Seen)>, uri: Uri, body: String) -> Response {
    let response = answer(uri.path());
    seen.lock().push((uri.path().to_owned(), body));
    response
}

impl Tracker {
    pub(crate) async fn that(says: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (seen, stopping, tasks) = (Seen::default(), CancellationToken::new(), TaskTracker::new());
        let state = (Arc::new(says) as Answer, Arc::clone(&seen));
        let app = Router::new().fallback(answer).with_state(state);
        let stop = stopping.clone().cancelled_owned();
        tasks.spawn(async { axum::serve(listener, app).with_graceful_shutdown(stop).await.unwrap() });
        Self { url, seen, stopping, tasks }
    }

    async fn says(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::that(move |_| (StatusCode::from_u16(status).unwrap(), body.clone()).into_response()).await
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.url.clone()).unwrap()
    }

    /// Paths and bodies, in order.
    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().clone()
    }

    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        soon("the tracker to stop", self.tasks.wait()).await;
    }
}

#[tokio::test]
async fn a_node_announces_itself_and_leaves() {
    let tracker = Tracker::that(|path| {
        match path {
            "/below/announce" => json!({
                "ok": true, "pubkey": announcement(1).node, "ttlSeconds": 300, "registeredCount": 7,
            }),
            "/below/unannounce" => json!({"ok": true, "removed": true}),
            other => panic!("{other}"),
        }
        .to_string()
        .into_response()
    })
    .await;
    let client = Client::new(tracker.url.join("below/").unwrap()).unwrap();
    let announcement = announcement(1);
    let registered = client.announce(&announcement).await.unwrap();
    assert_eq!((registered.pubkey, registered.registered_count), (announcement.node, 7));
    let word = Unannounce::sign(&Keypair::from_seed(&[1; 32]), clock());
    assert!(client.unannounce(&word).await.unwrap());

    let seen = tracker.seen();
    assert_eq!(Signed::parse(seen[0].1.as_bytes()).unwrap().verify().unwrap(), announcement);
    Unannounce::parse(seen[1].1.as_bytes()).unwrap().verify(clock()).unwrap();
    drop(client);
    tracker.stop().await;
}

#[tokio::test]
async fn its_list_is_read_and_what_is_none_is_counted() {
    let good: Vec<String> = (1..4).map(|seed| announcement(seed).to_json()).collect();
    let mut entries = good.clone();
    entries.extend(["null".into(), r#"{"announcement":{}}"#.into(), "0".into()]);
    let tracker = Tracker::says(200, peers_json(&entries)).await;
    let listed = tracker.client().peers().await.unwrap();
    let read: Vec<String> = listed.peers.iter().map(Signed::<Announcement>::to_json).collect();
    assert_eq!((read, listed.malformed, listed.beyond), (good, 3, 0));
    tracker.stop().await;
}

#[tokio::test]
async fn of_an_endless_list_the_first_entries_count() {
    let tracker = Tracker::says(200, peers_json(&vec!["0"; PEERS_MAX + 5])).await;
    let listed = tracker.client().peers().await.unwrap();
    assert_eq!((listed.peers.len(), listed.malformed, listed.beyond), (0, PEERS_MAX, 5));
    tracker.stop().await;

    let tracker = Tracker::that(|_| {
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
        Body::from_stream(endless).into_response()
    })
    .await;
    let error = tracker.client().peers().await.unwrap_err();
    assert!(matches!(error, TrackerError::TooLong { .. }), "{error}");
    tracker.stop().await;
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    for (status, body, expected) in [
        (
            400,
            r#"{"error":{"type":"rejected","reason":"stale"}}"#,
            "refused: stale; set this machine's clock",
        ),
        (400, r#"{"error":{"type":"bad_json"}}"#, "answers with status 400"),
        (301, "", "answers with status 301"),
        (500, "oops", "answers with status 500"),
        (200, "<html>", "its answer is not a tracker's"),
        (200, r#"{"ok":true}"#, "its answer is not a tracker's"),
    ] {
        let tracker = Tracker::says(status, body).await;
        let error = tracker.client().announce(&announcement(1)).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        tracker.stop().await;
    }
    let tracker = Tracker::says(200, r#"{"version":2,"count":0,"peers":[]}"#).await;
    let error = tracker.client().peers().await.unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
    tracker.stop().await;
    let future = Tracker::says(400, r#"{"error":{"type":"rejected","reason":"future"}}"#).await;
    let refused = future.client().announce(&announcement(1)).await;
    assert!(matches!(refused, Err(TrackerError::Refused(Reason::Future))), "{refused:?}");
    future.stop().await;
}

#[tokio::test]
async fn nobody_there_is_told_with_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = Client::new(url).unwrap().peers().await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    let none = Client::new("ftp://tracker.example".parse().unwrap());
    assert!(matches!(none, Err(TrackerError::NotATracker(_))));
}
