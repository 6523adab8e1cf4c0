use super::*;
use crate::publish::offer::tests::offer;

/// A place, and the time there.
struct Told {
    rhythm: Rhythm,
    now: Instant,
}

impl Told {
    fn new() -> Self {
        // Long ago is not before the machine's start.
        Self { rhythm: Rhythm::new(Tempo::default()), now: Instant::now() + Duration::from_secs(100_000) }
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn announces(&self, offer: &Offer) -> bool {
        matches!(self.rhythm.step(Some(offer), self.now), Step::Announce { .. })
    }

    /// Seconds until the next announcement.
    fn waits(&self, offer: &Offer) -> u64 {
        match self.rhythm.step(Some(offer), self.now) {
            Step::Wait(Some(until)) => until.duration_since(self.now).as_millis().div_ceil(1000) as u64,
            step => panic!("{step:?}"),
        }
    }

    fn tries(&mut self, offer: &Offer, outcome: Outcome) {
        assert!(self.announces(offer));
        self.rhythm.announced(offer, self.now, &outcome, self.now);
    }
}

#[test]
fn at_once_and_then_at_every_half_of_its_life() {
    let mut told = Told::new();
    told.tries(&offer(), Outcome::Done);
    assert_eq!(told.waits(&offer()), 150);
    assert!(!told.later(149).announces(&offer()));
    told.later(1).tries(&offer(), Outcome::Done);
    assert_eq!(told.waits(&offer()), 150);
    let brief = Offer { ttl: Duration::from_secs(20), ..offer() };
    let mut told = Told::new();
    told.tries(&brief, Outcome::Done);
    assert_eq!(told.waits(&brief), 30);
}

#[test]
fn what_others_must_know_waits_for_the_least_pause_and_no_longer() {
    let mut told = Told::new();
    let changed = Offer { models: Vec::new(), ..offer() };
    told.tries(&offer(), Outcome::Done);
    assert_eq!(told.later(2).waits(&changed), 3);
    told.later(3).tries(&changed, Outcome::Done);
    told.later(60).tries(&offer(), Outcome::Done);
}

#[test]
fn failures_are_tried_again_less_and_less_but_not_less_than_heartbeats() {
    let mut told = Told::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        told.tries(&offer(), Outcome::Failed(String::new()));
        waits.push(told.waits(&offer()));
        told.later(*waits.last().unwrap());
    }
    assert!(waits[0] <= 13 && waits[1] > waits[0] && waits[2] > waits[1], "{waits:?}");
    assert_eq!(waits[7], 150);
    told.tries(&offer(), Outcome::Done);
    assert_eq!(told.waits(&offer()), 150);
}

#[test]
fn a_place_that_is_there_again_is_told_at_once() {
    let mut told = Told::new();
    told.tries(&offer(), Outcome::NotTried(String::new()));
    told.rhythm.connected_anew();
    told.tries(&offer(), Outcome::Done);
    told.rhythm.connected_anew();
    assert_eq!(told.waits(&offer()), 5);
    assert!(told.later(5).announces(&offer()));
}

#[test]
fn what_was_refused_is_not_sent_again_as_it_is() {
    let mut told = Told::new();
    let oldest = |told: &Told| match told.rhythm.step(Some(&offer()), told.now) {
        Step::Announce { oldest } => oldest,
        step => panic!("{step:?}"),
    };
    let half_a_life = |told: &Told| told.now - Duration::from_secs(150);
    assert_eq!(oldest(&told), half_a_life(&told));
    told.tries(&offer(), Outcome::Failed(String::new()));
    assert_eq!(oldest(told.later(13)), half_a_life(&told));
    let refused_at = told.now;
    told.tries(&offer(), Outcome::Refused(String::new()));
    assert_eq!(oldest(told.later(60)), refused_at);
}

#[test]
fn nothing_is_taken_back_that_was_not_given() {
    let mut told = Told::new();
    let step = |told: &Told| told.rhythm.step(None, told.now);
    assert_eq!(step(&told), Step::Wait(None));
    told.tries(&offer(), Outcome::NotTried(String::new()));
    assert_eq!(step(&told), Step::Wait(None));
    told.later(20).tries(&offer(), Outcome::Done);
    assert_eq!(step(&told), Step::Withdraw);
    told.rhythm.withdrawn(&Outcome::Done, told.now);
    assert_eq!(step(&told), Step::Wait(None));
    told.later(5);
    assert!(told.announces(&offer()));
}

#[test]
fn taking_back_is_tried_until_it_would_have_expired() {
    let mut told = Told::new();
    told.tries(&offer(), Outcome::Failed(String::new()));
    let mut tries = 0;
    let start = told.now;
    loop {
        match told.rhythm.step(None, told.now) {
            Step::Withdraw => {
                tries += 1;
                told.rhythm.withdrawn(&Outcome::NotTried(String::new()), told.now);
            }
            Step::Wait(Some(until)) => told.now = until,
            Step::Wait(None) => break,
            Step::Announce { .. } => panic!("nothing is offered"),
        }
    }
    let took = told.now.duration_since(start);
    assert!(tries > 3 && took >= Duration::from_secs(300) && took < Duration::from_secs(700), "{took:?}");
}
