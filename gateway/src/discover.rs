//! Finding others and being found: the background work of discovery, as the settings want it.
//!
//! Meeting places are left and entered anew when `[discovery]` changes; the roster stays.

use crate::{announce, clock, node::Node, publicity, settings};
use config::Discovery;
use discovery::{
    relays::{self, Ear, Relays},
    roster_file::RosterFile,
    tracker,
};
use nostr_sdk::Keys;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, interval, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// How often those whose time is over are forgotten, and the file is looked at: a running node sees what
/// a command found within a second (SPEC section 11).
const TIDY_EVERY: Duration = Duration::from_millis(500);

/// How often the roster is kept on disk while there is anybody in it.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// How often the relays are told whose departures are of interest.
const FOLLOW_EVERY: Duration = Duration::from_secs(60);

/// How often a tracker is asked for its list.
const TRACKER_EVERY: Duration = Duration::from_secs(20);

/// After a tracker did not answer.
const TRACKER_RETRY: Duration = Duration::from_secs(10);

/// Works until the node stops. Only a node that works for others announces itself.
pub async fn run(node: &Arc<Node>) {
    tokio::join!(keep_roster(node), meet(node));
}

/// Forgets who is gone, takes in what commands found, keeps the roster on disk.
async fn keep_roster(node: &Arc<Node>) {
    let file = RosterFile::at(node.paths.strangers());
    on_disk(node, &file, |node, file| node.strangers.load(file)).await;
    let mut seen = settings::stamp(file.path());
    let mut tick = interval(TIDY_EVERY);
    let mut saved_at = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = node.stopping.cancelled() => break,
        }
        node.strangers.expire();
        let now = settings::stamp(file.path());
        if now != seen {
            on_disk(node, &file, |node, file| node.strangers.load(file)).await;
            seen = now;
        }
        if saved_at.elapsed() >= SAVE_EVERY {
            on_disk(node, &file, save).await;
            (saved_at, seen) = (Instant::now(), settings::stamp(file.path()));
        }
    }
    on_disk(node, &file, save).await;
}

/// Files, locks and thousands of signatures are no work for the threads that serve requests.
async fn on_disk(node: &Arc<Node>, file: &RosterFile, work: fn(&Node, &RosterFile)) {
    let (node, file) = (Arc::clone(node), file.clone());
    if let Err(error) = tokio::task::spawn_blocking(move || work(&node, &file)).await {
        tracing::error!(%error, "the file of strangers was not read or written");
    }
}

/// A node that knows nobody, and never did, makes no file.
fn save(node: &Node, file: &RosterFile) {
    if !node.strangers.is_empty() || file.path().exists() {
        node.strangers.save(file);
    }
}

/// Goes where the settings say, until they say something else or the node stops.
async fn meet(node: &Arc<Node>) {
    let (mut changes, mut sharing) = (node.settings.changes(), node.sharing.changes());
    while !node.stopping.is_cancelled() {
        let config = node.config().discovery.clone();
        let leaving = node.stopping.child_token();
        let shares = sharing.borrow_and_update().is_some();
        let visit = visit(node, &config, shares, leaving.clone());
        let changed = async {
            loop {
                tokio::select! {
                    Ok(()) = changes.changed() => if node.config().discovery != config { break },
                    Ok(()) = sharing.changed() => if node.sharing.is_on() != shares { break },
                    else => break,
                }
            }
            leaving.cancel();
        };
        // The visit ends in order, whichever of the two told it to.
        let (visit, changed) = (std::pin::pin!(visit), std::pin::pin!(changed));
        if let futures::future::Either::Right(((), visit)) = futures::future::select(visit, changed).await {
            visit.await;
        }
    }
}

async fn visit(node: &Arc<Node>, config: &Discovery, shares: bool, leaving: CancellationToken) {
    let announces = config.publish && shares;
    let shows_receipts = config.publish_receipts && shares;
    if !config.publish_receipts {
        publicity::forget(node);
    }
    if !config.subscribe && !announces && !shows_receipts {
        return leaving.cancelled().await;
    }
    let keys = if announces || shows_receipts { nostr_keys(node) } else { None };
    let tasks = TaskTracker::new();
    let Some(relays) = connect(node, config, keys.clone(), &tasks).await else {
        return leaving.cancelled().await;
    };
    if config.subscribe {
        relays.subscribe();
    }
    let polls = async {
        if config.subscribe {
            futures::future::join_all(config.trackers.iter().map(|url| poll(node, url, &leaving))).await;
        }
    };
    let announcing = async {
        if let Some(keys) = keys.clone().filter(|_| announces) {
            announce::run(node, config, &relays, keys, &leaving).await;
        }
    };
    let showing = async {
        if let Some(keys) = keys.as_ref().filter(|_| shows_receipts) {
            publicity::run(node, config, &relays, keys, &leaving).await;
        }
    };
    tokio::join!(polls, announcing, showing, follow_departures(node, config, &relays, &leaving));
    relays.stop().await;
    tasks.close();
    tasks.wait().await;
}

/// The Nostr half of the identity.
fn nostr_keys(node: &Node) -> Option<Keys> {
    let keys = relays::keys(&node.identity.nostr);
    keys.inspect_err(|error| tracing::error!(%error, "the identity has no Nostr key")).ok()
}

async fn connect(
    node: &Arc<Node>,
    config: &Discovery,
    keys: Option<Keys>,
    tasks: &TaskTracker,
) -> Option<Arc<Relays>> {
    let ear: Arc<dyn Ear> = Arc::clone(&node.strangers) as Arc<dyn Ear>;
    let setup = relays::Setup {
        urls: config.relays.clone(),
        ear,
        keys,
        clock: clock::now,
        pace: relays::Pace::default(),
    };
    let connected = Relays::connect(setup, tasks).await;
    connected.inspect_err(|error| tracing::error!(%error, "correct discovery.relays")).ok().map(Arc::new)
}

/// Tells the relays whose departure is worth knowing at once: of those whom this node uses.
async fn follow_departures(node: &Node, config: &Discovery, relays: &Relays, leaving: &CancellationToken) {
    let mut tick = interval(FOLLOW_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = leaving.cancelled() => return,
        }
        if config.subscribe {
            relays.follow(node.strangers.authors(relays::FOLLOWED_MAX));
        }
    }
}

/// Asks a tracker for its list, again and again.
async fn poll(node: &Node, url: &Url, leaving: &CancellationToken) {
    let client = match tracker::Client::new(url.clone()) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "correct discovery.trackers"),
    };
    let mut was_good = true;
    loop {
        let asked = tokio::select! {
            asked = client.peers() => asked,
            () = leaving.cancelled() => return,
        };
        let pause = match asked {
            Ok(listed) => {
                was_good = true;
                for signed in listed.peers {
                    node.strangers.hear_tracker(signed);
                    // A signature takes a while, and there may be thousands.
                    tokio::task::yield_now().await;
                }
                TRACKER_EVERY
            }
            Err(error) => {
                if std::mem::take(&mut was_good) {
                    tracing::warn!(tracker = %url, %error, "a tracker is of no use now");
                }
                TRACKER_RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = leaving.cancelled() => return,
        }
    }
}
