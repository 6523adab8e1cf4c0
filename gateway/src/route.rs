//! Which upstream is asked, in which order: a pure, total function that explains itself.

use crate::breaker::Admission;
use std::cmp::Ordering;

/// One upstream that serves the model, as the choice sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its place in the route's `to`: 0 for the first.
    pub preference: usize,
    /// What its breaker says.
    pub admission: Admission,
    /// Whether its last probe answered.
    pub up: bool,
    /// Our requests in it now.
    pub in_flight: usize,
    /// How many of ours it takes at once.
    pub limit: usize,
    /// Whether it said that it is busy, and the time it named has not passed.
    pub busy: bool,
}

/// Why a candidate is taken now or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Can be asked at once.
    Free,
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
        } else if self.admission == Admission::Tripped || !self.up {
            Standing::LastResort
        } else {
            Standing::Free
        }
    }
}

/// The candidates' places in the order in which they are asked. `spread` rotates ties: give each
/// request another one, and equal candidates share the load.
///
/// Free ones first; among them the route's preference, then the smaller share of its limit in use.
pub fn order(candidates: &[Candidate], spread: usize) -> Vec<usize> {
    let count = candidates.len();
    let mut places: Vec<usize> = (0..count).collect();
    let turn = |place: usize| (place + count - spread % count) % count;
    places.sort_by(|&a, &b| compare(&candidates[a], &candidates[b]).then_with(|| turn(a).cmp(&turn(b))));
    places
}

fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    // in_flight / limit, compared without dividing.
    let load = |x: &Candidate, y: &Candidate| x.in_flight as u128 * y.limit.max(1) as u128;
    let standing = a.standing().cmp(&b.standing());
    standing.then(a.preference.cmp(&b.preference)).then_with(|| load(a, b).cmp(&load(b, a)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate() -> Candidate {
        Candidate {
            preference: 0,
            admission: Admission::Admitting,
            up: true,
            in_flight: 0,
            limit: 4,
            busy: false,
        }
    }

    #[test]
    fn the_routes_order_holds_while_each_has_room() {
        let local = Candidate { in_flight: 3, ..candidate() };
        let friend = Candidate { preference: 1, ..candidate() };
        assert_eq!(order(&[friend.clone(), local.clone()], 0), [1, 0]);
        let full = Candidate { in_flight: 4, ..local };
        assert_eq!(order(&[full, friend], 0), [1, 0]);
    }

    #[test]
    fn tripped_ones_are_tried_all_the_same_before_busy_ones_are_waited_for() {
        let tripped = Candidate { admission: Admission::Tripped, ..candidate() };
        let down = Candidate { up: false, preference: 1, ..candidate() };
        let busy = Candidate { busy: true, ..candidate() };
        assert_eq!(order(&[busy, down, tripped], 0), [2, 1, 0]);
    }

    #[test]
    fn equal_candidates_take_turns() {
        let three = [candidate(), candidate(), candidate()];
        let first: Vec<usize> = (0..6).map(|spread| order(&three, spread)[0]).collect();
        assert_eq!(first, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_smaller_share_in_use_goes_first() {
        let half = Candidate { in_flight: 1, limit: 2, ..candidate() };
        let third = Candidate { in_flight: 2, limit: 6, ..candidate() };
        assert_eq!(order(&[half, third], 0), [1, 0]);
        assert_eq!(order(&[], 7), [] as [usize; 0]);
    }

    proptest! {
        #[test]
        fn every_candidate_is_placed_once(
            states in proptest::collection::vec((0usize..3, any::<bool>(), 0usize..5, any::<bool>()), 0..20),
            spread in any::<usize>(),
        ) {
            let candidates: Vec<Candidate> = states
                .into_iter()
                .map(|(preference, up, in_flight, busy)| Candidate { preference, up, in_flight, busy, ..candidate() })
                .collect();
            let mut places = order(&candidates, spread);
            for pair in places.windows(2) {
                prop_assert!(candidates[pair[0]].standing() <= candidates[pair[1]].standing());
            }
            places.sort_unstable();
            prop_assert_eq!(places, (0..candidates.len()).collect::<Vec<_>>());
        }
    }
}
