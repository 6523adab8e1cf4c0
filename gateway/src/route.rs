//! Which upstream is asked, in which order: pure, total functions that explain themselves.

use crate::breaker::Admission;
use protocol::Tier;
use std::{cmp::Ordering, fmt, time::Duration};

/// One upstream that serves the model, as the choice sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its group's place in the route's `to`: 0 for the first.
    pub preference: usize,
    /// What its breaker says.
    pub admission: Admission,
    /// Whether its last probe answered, or it is announced and was never probed.
    pub up: bool,
    /// Our requests in it now.
    pub in_flight: usize,
    /// How many of ours it takes at once.
    pub limit: usize,
    /// Whether it said that it is busy, and the time it named has not passed.
    pub busy: bool,
    /// What it says that it is good for; `None` for what is the owner's own.
    pub tier: Option<Tier>,
    /// Requests of others in it, as far as it said.
    pub others: usize,
    /// How many it works on at once, as far as it said.
    pub concurrency: usize,
    /// How long it takes for one, as measured or else as announced.
    pub service: Duration,
    /// Whether it lends us anything, as far as was seen.
    pub lends: bool,
    /// Whether it owes us: what we earned there can be spent nowhere else.
    pub owes_us: bool,
}

/// Where a candidate stands; earlier ones are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Would begin at once.
    Free,
    /// Takes the request, and works on others first.
    Queues,
    /// Rests after failures, or did not answer its last probe: asked only when no other is left.
    LastResort,
    /// Full or busy: waited for if nobody else is free.
    Busy,
}

impl Candidate {
    /// Where it stands now.
    pub fn standing(&self) -> Standing {
        if self.in_flight >= self.limit || self.busy {
            Standing::Busy
        } else if self.admission == Admission::Tripped || !self.up || !self.lends {
            Standing::LastResort
        } else if self.queue() >= self.concurrency.max(1) {
            Standing::Queues
        } else {
            Standing::Free
        }
    }

    /// The expected wait: queue ÷ concurrency × service time.
    pub fn wait(&self) -> Duration {
        // Bounds that keep the product far from overflow, whatever was announced.
        let queue = self.queue().min(u32::MAX as usize) as u32;
        let concurrency = self.concurrency.clamp(1, u32::MAX as usize) as u32;
        self.service.min(Duration::from_secs(24 * 60 * 60)).saturating_mul(queue) / concurrency
    }

    fn queue(&self) -> usize {
        self.in_flight.saturating_add(self.others)
    }

    /// Whether it says that it is good for something else. The owner's own is good for everything.
    fn misses(&self, wish: Option<Tier>) -> bool {
        self.tier.zip(wish).is_some_and(|(tier, wish)| tier != wish)
    }
}

/// The place of the candidate that is asked first; `None` if there is none. `spread` rotates ties: give
/// each request another one, and equal candidates share the load.
///
/// Free ones go first; among them the route's preference, the tier that is wished for, those that owe us,
/// and the least expected wait. Nobody is refused for a label, and nobody is waited for longer because it
/// owes us.
pub fn choose(candidates: &[Candidate], wish: Option<Tier>, spread: usize) -> Option<usize> {
    let order = Order { candidates, wish, spread };
    let places = (0..candidates.len()).map(|place| order.rank(place));
    places.min_by(|a, b| order.compare(a, b)).map(|rank| rank.place)
}

/// The places of the first `count`, in the order in which they are asked.
pub fn best(candidates: &[Candidate], wish: Option<Tier>, spread: usize, count: usize) -> Vec<usize> {
    let order = Order { candidates, wish, spread };
    let mut ranks: Vec<Rank> = (0..candidates.len()).map(|place| order.rank(place)).collect();
    if count < ranks.len() {
        ranks.select_nth_unstable_by(count, |a, b| order.compare(a, b));
        ranks.truncate(count);
    }
    ranks.sort_unstable_by(|a, b| order.compare(a, b));
    ranks.into_iter().map(|rank| rank.place).collect()
}

struct Order<'c> {
    candidates: &'c [Candidate],
    wish: Option<Tier>,
    spread: usize,
}

/// What decides, worked out once a candidate: the smallest goes first.
struct Rank {
    decides: (Standing, usize, bool, bool, Duration),
    place: usize,
}

impl Order<'_> {
    fn rank(&self, place: usize) -> Rank {
        let one = &self.candidates[place];
        let standing = one.standing();
        let owes_nothing = standing == Standing::Free && !one.owes_us;
        Rank { decides: (standing, one.preference, one.misses(self.wish), owes_nothing, one.wait()), place }
    }

    fn compare(&self, a: &Rank, b: &Rank) -> Ordering {
        a.decides.cmp(&b.decides).then_with(|| self.break_tie(a.place, b.place))
    }

    /// The smaller share of its limit in use, compared without dividing; then whose turn it is.
    fn break_tie(&self, a: usize, b: usize) -> Ordering {
        let [one, other] = [a, b].map(|place| &self.candidates[place]);
        let load = |x: &Candidate, y: &Candidate| x.in_flight as u128 * y.limit.max(1) as u128;
        let count = self.candidates.len();
        let turn = |place: usize| (place + count - self.spread % count) % count;
        load(one, other).cmp(&load(other, one)).then_with(|| turn(a).cmp(&turn(b)))
    }
}

/// Why a candidate is where it is in the order, in words.
#[derive(Clone, Copy, Debug)]
pub struct Why<'c>(pub &'c Candidate, pub Option<Tier>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Why(one, wish) = self;
        match one.standing() {
            Standing::Free if one.owes_us => f.write_str("free, and owes us")?,
            Standing::Free => f.write_str("free")?,
            Standing::Queues => write!(f, "{} before this one, about {}", one.queue(), seconds(one.wait()))?,
            Standing::Busy if one.busy => f.write_str("said that it is busy")?,
            Standing::Busy => write!(f, "full: {} of {} of ours", one.in_flight, one.limit)?,
            Standing::LastResort if !one.up => f.write_str("did not answer when it was last asked")?,
            Standing::LastResort if !one.lends => f.write_str("lent us nothing of late")?,
            Standing::LastResort => f.write_str("rests after failures")?,
        }
        if let Some(wish) = wish.filter(|_| one.misses(*wish)) {
            write!(f, "; {} is wished for", wish.as_str())?;
        }
        Ok(())
    }
}

fn seconds(wait: Duration) -> String {
    if wait < Duration::from_secs(10) {
        format!("{:.1} s", wait.as_secs_f64())
    } else {
        format!("{} s", wait.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WISH: Option<Tier> = Some(Tier::Interactive);

    fn order(candidates: &[Candidate], wish: Option<Tier>, spread: usize) -> Vec<usize> {
        best(candidates, wish, spread, usize::MAX)
    }

    fn candidate() -> Candidate {
        Candidate {
            preference: 0,
            admission: Admission::Admitting,
            up: true,
            in_flight: 0,
            limit: 4,
            busy: false,
            tier: None,
            others: 0,
            concurrency: 4,
            service: Duration::from_secs(10),
            lends: true,
            owes_us: false,
        }
    }

    #[test]
    fn credit_is_spent_where_it_is_owed_as_long_as_that_costs_no_time() {
        let debtor = Candidate { owes_us: true, in_flight: 1, ..candidate() };
        assert_eq!(order(&[candidate(), debtor.clone()], WISH, 0), [1, 0]);
        let nearer = Candidate { preference: 0, ..candidate() };
        assert_eq!(order(&[Candidate { preference: 1, ..debtor }, nearer], WISH, 0), [1, 0]);
        let queues = Candidate { others: 9, ..debtor };
        let shorter = Candidate { others: 5, ..candidate() };
        assert_eq!(order(&[queues, shorter], WISH, 0), [1, 0]);
    }

    #[test]
    fn the_routes_order_holds_while_each_has_room() {
        let local = Candidate { in_flight: 3, ..candidate() };
        let friend = Candidate { preference: 1, ..candidate() };
        assert_eq!(order(&[friend.clone(), local.clone()], WISH, 0), [1, 0]);
        let full = Candidate { in_flight: 4, ..local };
        assert_eq!(order(&[full, friend], WISH, 0), [1, 0]);
    }

    #[test]
    fn tripped_ones_are_tried_all_the_same_before_busy_ones_are_waited_for() {
        let tripped = Candidate { admission: Admission::Tripped, ..candidate() };
        let down = Candidate { up: false, preference: 1, ..candidate() };
        let busy = Candidate { busy: true, ..candidate() };
        assert_eq!(order(&[busy, down, tripped], WISH, 0), [2, 1, 0]);
    }

    #[test]
    fn equal_candidates_take_turns() {
        let three = [candidate(), candidate(), candidate()];
        let first: Vec<_> = (0..6).filter_map(|spread| choose(&three, WISH, spread)).collect();
        assert_eq!(first, [0, 1, 2, 0, 1, 2]);
        assert_eq!(choose(&[], WISH, 7), None);
    }

    #[test]
    fn the_least_expected_wait_goes_first() {
        let long = Candidate { others: 2, concurrency: 1, service: Duration::from_secs(3), ..candidate() };
        let short = Candidate { others: 5, concurrency: 5, service: Duration::from_secs(5), ..candidate() };
        assert_eq!((long.wait(), short.wait()), (Duration::from_secs(6), Duration::from_secs(5)));
        assert_eq!(order(&[long.clone(), short.clone()], WISH, 0), [1, 0]);
        let half = Candidate { in_flight: 1, ..candidate() };
        assert_eq!(order(&[long, short, half, candidate()], WISH, 0), [3, 2, 1, 0]);
    }

    #[test]
    fn a_label_is_preferred_and_nobody_is_refused_for_one() {
        let batch = Candidate { tier: Some(Tier::Batch), ..candidate() };
        let interactive = Candidate { tier: Some(Tier::Interactive), ..candidate() };
        let both = [batch.clone(), interactive.clone()];
        assert_eq!(choose(&both, WISH, 0), Some(1));
        assert_eq!(choose(&both, Some(Tier::Batch), 1), Some(0));
        assert_eq!(choose(&[batch], WISH, 0), Some(0));
        // Better a worker with another label than a queue.
        let queues = Candidate { others: 4, ..interactive };
        assert_eq!(choose(&[queues, both[0].clone()], WISH, 0), Some(1));
    }

    #[test]
    fn each_place_is_explained() {
        let queues = Candidate { others: 8, tier: Some(Tier::Batch), ..candidate() };
        let text = Why(&queues, WISH).to_string();
        assert_eq!(text, "8 before this one, about 20 s; interactive is wished for");
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let numbers = (0usize..3, 0usize..5, any::<usize>(), any::<usize>(), any::<u64>());
        (numbers, any::<bool>(), any::<bool>(), 0u8..4).prop_map(|(numbers, up, busy, tier)| {
            let (preference, in_flight, others, concurrency, service) = numbers;
            let tier =
                [None, Some(Tier::Interactive), Some(Tier::Batch), Some(Tier::BestEffort)][usize::from(tier)];
            let service = Duration::from_millis(service);
            Candidate { preference, up, in_flight, busy, tier, others, concurrency, service, ..candidate() }
        })
    }

    proptest! {
        #[test]
        fn every_candidate_has_one_place_and_the_shorter_ways_agree(
            candidates in proptest::collection::vec(any_candidate(), 0..20),
            spread in any::<usize>(),
            count in 0usize..25,
        ) {
            let places = order(&candidates, WISH, spread);
            for pair in places.windows(2) {
                prop_assert!(candidates[pair[0]].standing() <= candidates[pair[1]].standing());
            }
            prop_assert_eq!(choose(&candidates, WISH, spread), places.first().copied());
            prop_assert_eq!(best(&candidates, WISH, spread, count), &places[..count.min(places.len())]);
            let mut sorted = places;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..candidates.len()).collect::<Vec<_>>());
        }
    }
}
