//! A node that publishes, in a hurry.

use super::{
    support::{clock, soon},
    tracker::Tracker,
};
use discovery::{
    publish::{Dates, Offer, PublishState, Publisher, Reach, Setup, Standing, Tempo},
    relays::{DeafEar, Pace, Relays},
    tracker::Client,
};
use nostr_sdk::{Event, Keys};
use protocol::{Announcement, Keypair, Signed, Tier, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// Seconds are minutes here.
const HURRY: Tempo = Tempo {
    heartbeat_min: Duration::from_millis(500),
    between_min: Duration::from_millis(100),
    retry: Duration::from_millis(100),
    retry_max: Duration::from_secs(1),
    leaving_max: Duration::from_millis(500),
};

/// Makes no heartbeat within a test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn offer(ttl: Duration) -> Offer {
    Offer {
        url: "https://mini.example.net:17474".parse().unwrap(),
        label: None,
        models: vec!["llama3.1:8b".parse().unwrap()],
        tier: Tier::Batch,
        capacity: None,
        prices: Default::default(),
        ttl,
    }
}

/// A node that publishes.
pub(crate) struct Publishing {
    pub(crate) offers: watch::Sender<Option<Offer>>,
    pub(crate) states: watch::Receiver<Vec<PublishState>>,
    relays: Arc<Relays>,
    pub(crate) keys: Keys,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Publishing {
    pub(crate) async fn to(relays: &[&Url], trackers: &[&Tracker], offer: Option<Offer>) -> Self {
        let trackers = trackers.iter().map(|tracker| tracker.client()).collect();
        Self::with(relays, trackers, offer, clock).await
    }

    pub(crate) async fn with(
        urls: &[&Url],
        trackers: Vec<Client>,
        offer: Option<Offer>,
        clock: fn() -> Timestamp,
    ) -> Self {
        let (tasks, stopping, keys) = (TaskTracker::new(), CancellationToken::new(), Keys::generate());
        let setup = discovery::relays::Setup {
            urls: urls.iter().map(|url| (*url).clone()).collect(),
            ear: Arc::new(DeafEar),
            keys: Some(keys.clone()),
            clock,
            pace: Pace { reconnect: Duration::from_secs(1), ..Pace::default() },
        };
        let relays = Arc::new(Relays::connect(setup, &tasks).await.unwrap());
        let publisher = Publisher::new(Setup {
            keypair: Keypair::from_seed(&[9; 32]),
            keys: keys.clone(),
            relays: Arc::clone(&relays),
            trackers,
            reach: Reach::Internet,
            clock,
            dates: Dates::default(),
            tempo: HURRY,
        });
        let (states, (offers, offered)) = (publisher.states(), watch::channel(offer));
        tasks.spawn(publisher.run(offered, stopping.clone()));
        Self { offers, states, relays, keys, stopping, tasks }
    }

    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&[PublishState]) -> bool) {
        soon(what, self.states.wait_for(|states| condition(states))).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        let mut states = self.states;
        // The publisher has ended when its board is gone.
        soon("the publisher to end", async { while states.changed().await.is_ok() {} }).await;
        self.relays.stop().await;
        self.tasks.close();
        soon("the tasks to end", self.tasks.wait()).await;
    }
}

pub(crate) fn is_announced(state: &PublishState) -> bool {
    matches!(state.standing, Standing::Announced { .. })
}

pub(crate) fn why(state: &PublishState) -> &str {
    match &state.standing {
        Standing::Failed { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn read(event: &Event) -> Announcement {
    let signed = Signed::<Announcement>::parse(event.content.as_bytes()).unwrap();
    Announcement::clone(&signed.verify().unwrap())
}
