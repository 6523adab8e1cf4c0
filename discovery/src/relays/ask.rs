//! What relays are asked for, and when to ask again. Pure.
//!
//! Two subscriptions, so that a relay may refuse the second and still serve the first:
//!
//! - *announcements*: kind 31474 with our topic, and those deletions that say in a `k` tag
//!   (NIP-09) that they delete kind 31474. That tag is indexed, so all other deletions of a public
//!   relay, which are many, stay where they are.
//! - *departures*: deletions by the strangers that the caller follows. The first Lobstah's deletions carry
//!   nothing but an `e` tag, so they can only be asked for by author.
//!
//! A deletion that is missed costs little: its announcement expires within minutes.

use super::backoff::Backoff;
use crate::event::{ANNOUNCEMENT_KIND, DELETION_KIND, TOPIC};
use nostr_sdk::{Alphabet, Filter, PublicKey, SingleLetterTag, SubscriptionId};
use protocol::{
    Timestamp,
    limits::{CLOCK_SKEW_MS, TTL_SECONDS_MAX},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Most authors whose departures are asked for. Many relays take no message over 16 KiB, and a key
/// costs 67 bytes; of a longer list the rest is found out by expiry.
pub const FOLLOWED_MAX: usize = 200;

/// How far back departures are asked for: over the time that a connection may have been lost.
const DEPARTURES_SECONDS: u64 = 3600;

/// The longest rest after a relay ended a subscription.
const REST_MAX: Duration = Duration::from_secs(600);

/// A subscription that lived this long was not refused: the next rest is the shortest again.
const STEADY: Duration = Duration::from_secs(60);

/// When to try again after a question could not be handed to the connection.
const HAND_OVER_AGAIN: Duration = Duration::from_millis(250);

/// One subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Announcements,
    Departures,
}

impl Topic {
    pub(crate) const ALL: [Topic; 2] = [Topic::Announcements, Topic::Departures];

    const fn name(self) -> &'static str {
        match self {
            Topic::Announcements => "lobstah",
            Topic::Departures => "lobstah-departures",
        }
    }

    /// What the relay calls it.
    pub(crate) fn id(self) -> SubscriptionId {
        SubscriptionId::new(self.name())
    }

    /// Which one a relay means.
    pub(crate) fn of(id: &SubscriptionId) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == id.as_str())
    }
}

/// What we want of every relay. Versions say whether a relay was asked for just this.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    announcements: bool,
    followed: BTreeSet<PublicKey>,
    version: u64,
}

impl Wanted {
    pub(crate) fn announcements(&mut self) {
        self.announcements = true;
    }

    /// Departures of these, instead of those before. Gives whether that is anything new.
    pub(crate) fn departures(&mut self, authors: impl IntoIterator<Item = PublicKey>) -> bool {
        let followed: BTreeSet<PublicKey> = authors.into_iter().take(FOLLOWED_MAX).collect();
        let new = followed != self.followed;
        if new {
            self.followed = followed;
            self.version += 1;
        }
        new
    }

    /// `None` if the topic is not wanted.
    fn version(&self, topic: Topic) -> Option<u64> {
        match topic {
            Topic::Announcements => self.announcements.then_some(0),
            Topic::Departures => (!self.followed.is_empty()).then_some(self.version),
        }
    }

    /// The filters to send at `now`.
    pub(crate) fn filters(&self, topic: Topic, now: Timestamp) -> Vec<Filter> {
        match topic {
            Topic::Announcements => announcements(now),
            Topic::Departures => {
                vec![departures(now).authors(self.followed.iter().copied())]
            }
        }
    }
}

/// All that may still be live at `now`, and who says what it deletes.
pub(crate) fn announcements(now: Timestamp) -> Vec<Filter> {
    let oldest = seconds_before(now, TTL_SECONDS_MAX + CLOCK_SKEW_MS / 1000);
    let announced = Filter::new().kind(ANNOUNCEMENT_KIND).hashtag(TOPIC).since(oldest);
    let key = SingleLetterTag::lowercase(Alphabet::K);
    vec![announced, departures(now).custom_tag(key, ANNOUNCEMENT_KIND.as_u16().to_string())]
}

fn departures(now: Timestamp) -> Filter {
    Filter::new().kind(DELETION_KIND).since(seconds_before(now, DEPARTURES_SECONDS))
}

fn seconds_before(now: Timestamp, seconds: u64) -> nostr_sdk::Timestamp {
    nostr_sdk::Timestamp::from_secs((now.as_millis() / 1000).saturating_sub(seconds))
}

/// What one relay was asked for on its present connection.
#[derive(Debug)]
pub(crate) struct Asked([Standing; 2]);

#[derive(Debug)]
struct Standing {
    version: Option<u64>,
    asked_at: Option<Instant>,
    resting_until: Option<Instant>,
    backoff: Backoff,
}

impl Asked {
    /// Nothing yet. `first_rest` is how long the first refusal is respected.
    pub(crate) fn nothing(first_rest: Duration) -> Self {
        Self(Topic::ALL.map(|_| Standing {
            version: None,
            asked_at: None,
            resting_until: None,
            backoff: Backoff::new(first_rest, REST_MAX),
        }))
    }

    /// When this topic is to be asked for: `None` if not at all.
    pub(crate) fn due(&self, topic: Topic, wanted: &Wanted, now: Instant) -> Option<Instant> {
        let standing = &self.0[topic as usize];
        let version = wanted.version(topic)?;
        (standing.version != Some(version)).then(|| standing.resting_until.map_or(now, |rest| rest.max(now)))
    }

    /// The question is on its way.
    pub(crate) fn sent(&mut self, topic: Topic, wanted: &Wanted, now: Instant) {
        let standing = &mut self.0[topic as usize];
        (standing.version, standing.asked_at) = (wanted.version(topic), Some(now));
    }

    /// The question could not be handed over.
    pub(crate) fn not_sent(&mut self, topic: Topic, now: Instant) {
        self.0[topic as usize].resting_until = Some(now + HAND_OVER_AGAIN);
    }

    /// The relay ended the subscription.
    pub(crate) fn closed(&mut self, topic: Topic, now: Instant) {
        let standing = &mut self.0[topic as usize];
        if standing.asked_at.is_some_and(|at| now.duration_since(at) > STEADY) {
            standing.backoff.reset();
        }
        standing.resting_until = Some(now + standing.backoff.next());
        standing.version = None;
    }

    /// There is a new connection, which was asked nothing. Rests go on: a relay that refuses is not
    /// to be bothered by connecting anew.
    pub(crate) fn forget(&mut self) {
        for standing in &mut self.0 {
            standing.version = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr_sdk::{JsonUtil, Keys};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn the_filters_name_what_is_ours_and_nothing_else() {
        let text: Vec<String> = announcements(NOW).iter().map(Filter::as_json).collect();
        assert_eq!(
            text,
            [
                r##"{"kinds":[31474],"since":1789913300,"#t":["lobstah"]}"##,
                r##"{"kinds":[5],"since":1789996400,"#k":["31474"]}"##,
            ]
        );
    }

    #[test]
    fn a_full_list_of_departures_fits_what_relays_take() {
        let mut wanted = Wanted::default();
        let authors: Vec<PublicKey> = (0..300).map(|_| Keys::generate().public_key()).collect();
        assert!(wanted.departures(authors.iter().copied()));
        assert!(!wanted.departures(authors));
        let filters = wanted.filters(Topic::Departures, NOW);
        assert!(filters[0].as_json().len() < 15 * 1024);
        assert_eq!(filters[0].authors.as_ref().unwrap().len(), FOLLOWED_MAX);
    }

    #[test]
    fn what_changed_is_asked_again_and_what_did_not_is_not() {
        let (mut wanted, mut asked) = (Wanted::default(), Asked::nothing(Duration::from_secs(5)));
        let now = Instant::now();
        let due = |asked: &Asked, wanted: &Wanted| Topic::ALL.map(|topic| asked.due(topic, wanted, now));
        assert_eq!(due(&asked, &wanted), [None, None]);
        wanted.announcements();
        assert_eq!(due(&asked, &wanted), [Some(now), None]);
        asked.sent(Topic::Announcements, &wanted, now);
        assert_eq!(due(&asked, &wanted), [None, None]);
        wanted.departures([Keys::generate().public_key()]);
        assert_eq!(due(&asked, &wanted), [None, Some(now)]);
        asked.sent(Topic::Departures, &wanted, now);
        wanted.departures([Keys::generate().public_key()]);
        assert_eq!(due(&asked, &wanted), [None, Some(now)]);
        wanted.departures([]);
        assert_eq!(due(&asked, &wanted), [None, None]);
        asked.forget();
        assert_eq!(due(&asked, &wanted), [Some(now), None]);
    }

    #[test]
    fn a_relay_that_refuses_is_left_alone_for_longer_each_time() {
        let (mut wanted, mut asked) = (Wanted::default(), Asked::nothing(Duration::from_secs(4)));
        wanted.announcements();
        let mut now = Instant::now();
        let mut rests = Vec::new();
        for _ in 0..4 {
            asked.sent(Topic::Announcements, &wanted, now);
            asked.closed(Topic::Announcements, now);
            asked.forget();
            let due = asked.due(Topic::Announcements, &wanted, now).unwrap();
            rests.push(due.duration_since(now));
            now = due;
        }
        assert!(rests.windows(2).all(|pair| pair[1] > pair[0]), "{rests:?}");
        asked.sent(Topic::Announcements, &wanted, now);
        let later = now + STEADY * 2;
        asked.closed(Topic::Announcements, later);
        let due = asked.due(Topic::Announcements, &wanted, later).unwrap();
        assert_eq!(due.duration_since(later), rests[0]);
    }
}
