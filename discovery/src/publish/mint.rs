//! Makes announcements: signed, dated so that each is later than the one before, and shared by all
//! places that want one at about the same time.

use super::{
    announceable::{NotAnnounceable, Reach, announceable},
    offer::Offer,
};
use crate::event::{announcement_event, deletion_event};
use nostr_sdk::{Event, EventId, Keys};
use parking_lot::Mutex;
use protocol::{
    Announcement, Keypair, Signed, Timestamp, Unannounce, Verified,
    limits::{CLOCK_SKEW_MS, EVENT_CONTENT_BYTES_MAX},
};
use std::sync::Arc;
use tokio::time::Instant;

/// One announcement, in both forms.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) offer: Offer,
    pub(crate) announcement: Verified<Announcement>,
    pub(crate) event: Event,
    pub(crate) at: Instant,
}

#[derive(Debug)]
pub(crate) struct Mint {
    keypair: Keypair,
    keys: Keys,
    reach: Reach,
    clock: fn() -> Timestamp,
    dates: Dates,
    state: Mutex<State>,
}

/// The last date that a node gave to what it published. It outlives a publisher: relays do not take what is
/// dated like the word that took back what was there before.
#[derive(Clone, Debug, Default)]
pub struct Dates(Arc<Mutex<Option<Stamp>>>);

impl Dates {
    /// A later date than any before.
    fn next(&self, now: Timestamp) -> Stamp {
        let mut last = self.0.lock();
        let next = Stamp::after(*last, now);
        *last = Some(next);
        next
    }

    /// The same for trackers, which date by the millisecond: no second is used up for them.
    fn next_within(&self, now: Timestamp) -> Timestamp {
        let mut last = self.0.lock();
        let next = Stamp::after(*last, now);
        let created_at = last.map_or(0, |last| last.created_at.min(next.created_at));
        *last = Some(Stamp { created_at, ..next });
        next.announced_at
    }
}

#[derive(Debug, Default)]
struct State {
    last: Option<Arc<Minted>>,
    /// The word that took it back, if that was the last word.
    deletion: Option<(Vec<EventId>, Event)>,
}

/// When something was made: on the envelope and inside.
///
/// Relays date by the second, and of two events of one second the lower id stays, or the deletion: a
/// date is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    /// Unix seconds.
    created_at: u64,
    announced_at: Timestamp,
}

impl Stamp {
    fn after(last: Option<Stamp>, now: Timestamp) -> Self {
        // A clock that was put back by more than others tolerate: what is dated on from the wrong
        // time nobody would take.
        let last = last.filter(|last| last.announced_at.millis_since(now) <= CLOCK_SKEW_MS);
        let seconds = now.as_millis() / 1000;
        let next = |last: Timestamp| Timestamp::from_millis(last.as_millis() + 1);
        Self {
            created_at: last.map_or(seconds, |last| seconds.max(last.created_at + 1)),
            announced_at: last.map_or(now, |last| now.max(next(last.announced_at))),
        }
    }
}

impl Mint {
    pub(crate) fn new(
        keypair: Keypair,
        keys: Keys,
        reach: Reach,
        clock: fn() -> Timestamp,
        dates: Dates,
    ) -> Self {
        Self { keypair, keys, reach, clock, dates, state: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// An announcement of `offer` made after `oldest`: the one there is, or a new one.
    pub(crate) fn announcement(
        &self,
        offer: &Offer,
        oldest: Instant,
    ) -> Result<Arc<Minted>, NotAnnounceable> {
        announceable(&offer.url, self.reach)?;
        let state = &mut *self.state.lock();
        if let Some(last) = &state.last
            && last.at > oldest
            && !offer.differs(&last.offer)
        {
            return Ok(Arc::clone(last));
        }
        let mut dated = self.dates.0.lock();
        let stamp = Stamp::after(*dated, self.now());
        let announcement = self.sign(offer, stamp.announced_at)?;
        let event = announcement_event(&announcement, &self.keys, stamp.created_at);
        let minted = Arc::new(Minted { offer: offer.clone(), announcement, event, at: Instant::now() });
        *dated = Some(stamp);
        *state = State { last: Some(Arc::clone(&minted)), deletion: None };
        Ok(minted)
    }

    /// The word to relays that these, and all that was announced until now, are to be forgotten.
    pub(crate) fn deletion(&self, events: &[EventId]) -> Event {
        let state = &mut *self.state.lock();
        if let Some((_, deletion)) = state.deletion.as_ref().filter(|(deleted, _)| deleted == events) {
            return deletion.clone();
        }
        let stamp = self.dates.next(self.now());
        let deletion = deletion_event(events, &self.keys, stamp.created_at);
        *state = State { last: None, deletion: Some((events.to_vec(), deletion.clone())) };
        deletion
    }

    /// The same for what was dated ahead, by a clock that was put back: before `minted`.
    pub(crate) fn deletion_before(&self, minted: &Minted, events: &[EventId]) -> Event {
        deletion_event(events, &self.keys, minted.event.created_at.as_secs().saturating_sub(1))
    }

    /// The word to trackers that this node leaves: later than its announcement, and earlier than the
    /// next one.
    pub(crate) fn unannounce(&self) -> Unannounce {
        let state = &mut *self.state.lock();
        state.last = None;
        Unannounce::sign(&self.keypair, self.dates.next_within(self.now()))
    }

    /// Signs what others will read: where all of it is too long, the models' speeds are left out.
    fn sign(&self, offer: &Offer, at: Timestamp) -> Result<Verified<Announcement>, NotAnnounceable> {
        let body = offer.announcement(self.keypair.node_id(), self.keys.public_key().to_bytes(), at);
        let mut shorter = body.clone();
        if let Some(capacity) = &mut shorter.capacity {
            capacity.tokens_per_second.clear();
        }
        for body in [body, shorter] {
            let signed = Verified::sign(body, &self.keypair).map_err(malformed)?;
            let json = signed.to_json();
            if json.len() <= EVENT_CONTENT_BYTES_MAX {
                Signed::<Announcement>::parse(json.as_bytes()).map_err(malformed)?;
                return Ok(signed);
            }
        }
        Err(NotAnnounceable::TooLong)
    }
}

fn malformed(rejected: protocol::Rejected) -> NotAnnounceable {
    NotAnnounceable::Malformed(rejected.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::offer::tests::offer;
    use protocol::TokensPerSecond;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_500);

    fn mint() -> Mint {
        dated(&Dates::default())
    }

    fn dated(dates: &Dates) -> Mint {
        let keypair = Keypair::from_seed(&[1; 32]);
        Mint::new(keypair, Keys::generate(), Reach::Internet, || NOW, dates.clone())
    }

    #[test]
    fn every_date_is_later_than_the_one_before_even_if_the_clock_stands_or_stumbles() {
        let mut last = None;
        for back_ms in [0, 0, 100, 2000, CLOCK_SKEW_MS - 10_000] {
            let next = Stamp::after(last, Timestamp::from_millis(NOW.as_millis() - back_ms));
            if let Some(Stamp { created_at, announced_at }) = last {
                assert!(next.created_at > created_at && next.announced_at > announced_at);
            }
            last = Some(next);
        }
        let long_ago = Timestamp::from_millis(NOW.as_millis() - 2 * CLOCK_SKEW_MS);
        assert_eq!(Stamp::after(last, long_ago).announced_at, long_ago);
    }

    #[test]
    fn places_share_an_announcement_until_it_is_old_or_no_longer_true() {
        let mint = mint();
        let start = Instant::now() - Duration::from_secs(1);
        let first = mint.announcement(&offer(), start).unwrap();
        let mut faster = offer();
        faster.capacity.as_mut().unwrap().queue_depth = 1;
        assert!(Arc::ptr_eq(&first, &mint.announcement(&faster, start).unwrap()));
        let renewed = mint.announcement(&faster, Instant::now()).unwrap();
        assert!(renewed.event.created_at > first.event.created_at);
        assert!(renewed.announcement.announced_at > first.announcement.announced_at);
        let other = Offer { models: Vec::new(), ..offer() };
        let changed = mint.announcement(&other, start).unwrap();
        assert!(changed.event.created_at > renewed.event.created_at);
        let deletion = mint.deletion(&[changed.event.id]);
        assert!(deletion.created_at > changed.event.created_at);
        let again = mint.announcement(&other, start).unwrap();
        assert!(again.event.created_at > deletion.created_at);
    }

    #[test]
    fn who_publishes_again_dates_it_later_than_the_word_that_took_it_back() {
        let dates = Dates::default();
        let before = dated(&dates);
        let first = before.announcement(&offer(), Instant::now()).unwrap();
        let deletion = before.deletion(&[first.event.id]);
        before.unannounce();
        let left = dates.0.lock().unwrap();
        let again = dated(&dates).announcement(&offer(), Instant::now()).unwrap();
        assert!(again.event.created_at > deletion.created_at);
        assert!(again.announcement.announced_at > left.announced_at);
    }

    #[test]
    fn speeds_are_left_out_before_an_announcement_is_too_long_to_be_read() {
        let with = |models: usize| {
            let mut offer = offer();
            let names = (0..models).map(|nth| format!("registry.example/some/model:{nth}").parse().unwrap());
            offer.models = names.collect();
            let speed = TokensPerSecond::new(41.5).unwrap();
            let speeds = offer.models.iter().map(|name| (name.clone(), speed)).collect();
            offer.capacity.as_mut().unwrap().tokens_per_second = speeds;
            mint().announcement(&offer, Instant::now())
        };
        let speeds = |minted: &Minted| minted.announcement.capacity.as_ref().unwrap().tokens_per_second.len();
        assert_eq!(speeds(&with(100).unwrap()), 100);
        assert_eq!(speeds(&with(400).unwrap()), 0);
        assert_eq!(with(512).unwrap_err(), NotAnnounceable::TooLong);
    }

    #[test]
    fn what_others_would_refuse_is_not_signed_away() {
        let loopback = Offer { url: "http://127.0.0.1:1".parse().unwrap(), ..offer() };
        let refused = mint().announcement(&loopback, Instant::now()).unwrap_err();
        assert!(matches!(refused, NotAnnounceable::Nowhere { .. }), "{refused}");
        let labelled = Offer { label: Some("a\nb".into()), ..offer() };
        let refused = mint().announcement(&labelled, Instant::now()).unwrap_err();
        assert!(matches!(refused, NotAnnounceable::Malformed(_)), "{refused}");
    }
}
