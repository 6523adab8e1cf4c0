//! Which task goes to which upstream now: pure.
//!
//! Turns come first: tasks arrive in fair turns between batches, and each turn places one task of its batch.
//! Within a turn the opening decides: a line goes where its prompt's opening was seen before, if there is room
//! there now; nobody waits for a warm place. Room is never left over while a task could use it, but at the end,
//! where a machine that is much slower than the others would only hold the last lines up.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

/// So many tasks of one batch are looked through for one that suits a free place.
const LOOK_AHEAD: usize = 32;

/// A machine gets none of the last tasks if it takes this many times longer for one than the others for all.
const TOO_SLOW: u32 = 2;

/// An upstream with room.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    /// So many tasks it can be given now.
    pub(super) free: usize,
    /// How many it works on at once.
    pub(super) limit: usize,
    /// Works on what others gave it first.
    pub(super) queues: bool,
    /// What we earned there can be spent nowhere else.
    pub(super) owes_us: bool,
    /// How long it took for one, where that was seen.
    pub(super) service: Option<Duration>,
}

/// A task that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seeker {
    /// Its batch; jobs are one.
    pub(super) group: usize,
    /// Where it may go.
    pub(super) seats: Vec<Seat>,
}

/// A place that a task may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) host: usize,
    /// Its group's place in the route.
    pub(super) preference: usize,
    /// Has seen the task's opening before.
    pub(super) warm: bool,
}

/// A task, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) task: usize,
    pub(super) host: usize,
    pub(super) warm: bool,
}

/// Places tasks in turns. `all_listed`: no more wait than these, so that the end is near.
pub(super) fn choose(tasks: &[Seeker], hosts: &[Host], all_listed: bool) -> Vec<Pick> {
    let mut free: Vec<usize> = hosts.iter().map(|host| host.free).collect();
    let mut turns = turns(tasks);
    let mut picks = Vec::new();
    let mut left = tasks.len();
    while let Some(mut group) = turns.pop_front() {
        let near_the_end = all_listed.then_some(left);
        let Some((at, pick)) = next_of(&group, tasks, hosts, &free, near_the_end) else {
            // None of those that were looked at can go: more of them may.
            left -= group.len().min(LOOK_AHEAD);
            group.drain(..group.len().min(LOOK_AHEAD));
            if !group.is_empty() {
                turns.push_back(group);
            }
            continue;
        };
        group.remove(at);
        left -= 1;
        free[pick.host] -= 1;
        picks.push(pick);
        if !group.is_empty() {
            turns.push_back(group);
        }
    }
    picks
}

/// The tasks of each batch, in their order; whose first task is first has the first turn.
fn turns(tasks: &[Seeker]) -> VecDeque<VecDeque<usize>> {
    let mut turns: VecDeque<(usize, VecDeque<usize>)> = VecDeque::new();
    for (at, task) in tasks.iter().enumerate() {
        match turns.iter_mut().find(|(group, _)| *group == task.group) {
            Some((_, tasks)) => tasks.push_back(at),
            None => turns.push_back((task.group, VecDeque::from([at]))),
        }
    }
    turns.into_iter().map(|(_, tasks)| tasks).collect()
}

/// The best task of a batch for the room that is left, by its place in `group`.
fn next_of(
    group: &VecDeque<usize>,
    tasks: &[Seeker],
    hosts: &[Host],
    free: &[usize],
    near_the_end: Option<usize>,
) -> Option<(usize, Pick)> {
    let placed = group.iter().take(LOOK_AHEAD).enumerate().flat_map(|(at, &task)| {
        let seats = &tasks[task].seats;
        let warm_somewhere = seats.iter().any(|seat| seat.warm);
        let usable = seats.iter().filter(move |seat| {
            free[seat.host] > 0
                && !near_the_end.is_some_and(|left| is_too_slow(seat.host, seats, hosts, left))
        });
        usable.map(move |seat| {
            let host = &hosts[seat.host];
            let coldness = match (seat.warm, warm_somewhere) {
                (true, _) => 0,
                (false, false) => 1,
                (false, true) => 2,
            };
            let room = Reverse(free[seat.host] * 64 / host.limit.max(1));
            let rank = (host.queues, seat.preference, coldness, !host.owes_us, room, at, seat.host);
            (rank, at, Pick { task, host: seat.host, warm: seat.warm })
        })
    });
    placed.min_by_key(|(rank, ..)| *rank).map(|(_, at, pick)| (at, pick))
}

/// Whether the others will have answered all `left` tasks long before this one answers its first.
fn is_too_slow(host: usize, seats: &[Seat], hosts: &[Host], left: usize) -> bool {
    let Some(mine) = hosts[host].service else { return false };
    let faster = seats.iter().map(|seat| &hosts[seat.host]).filter(|other| !other.queues);
    let faster = faster.filter_map(|other| Some((other.service?, other.limit)));
    let (mut a_second, mut slowest) = (0.0, Duration::ZERO);
    for (service, limit) in faster.filter(|(service, _)| *service < mine) {
        a_second += limit as f64 / service.as_secs_f64().max(1e-6);
        slowest = slowest.max(service);
    }
    // What they have now is taken for a round of their own.
    let others = slowest.as_secs_f64() + left as f64 / a_second;
    others.is_finite() && mine.as_secs_f64() > others * f64::from(TOO_SLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    fn host(free: usize) -> Host {
        Host { free, limit: free.max(1), queues: false, owes_us: false, service: None }
    }

    fn seat(host: usize) -> Seat {
        Seat { host, preference: 0, warm: false }
    }

    fn task(group: usize, seats: &[Seat]) -> Seeker {
        Seeker { group, seats: seats.to_vec() }
    }

    fn hosts_of(picks: &[Pick]) -> Vec<usize> {
        picks.iter().map(|pick| pick.host).collect()
    }

    #[test]
    fn work_is_spread_over_all_that_have_room() {
        let tasks = vec![task(0, &[seat(0), seat(1), seat(2)]); 9];
        let picks = choose(&tasks, &[host(2), host(2), host(2)], true);
        assert_eq!(hosts_of(&picks), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn an_opening_goes_where_it_was_seen_as_long_as_there_is_room() {
        let warm = Seat { warm: true, ..seat(1) };
        let tasks = vec![task(0, &[seat(0), warm]); 3];
        assert_eq!(hosts_of(&choose(&tasks, &[host(2), host(2)], true)), [1, 1, 0]);
    }

    #[test]
    fn a_place_is_given_to_a_line_that_is_warm_there_before_one_that_is_warm_elsewhere() {
        let warm = |host| Seat { warm: true, ..seat(host) };
        let tasks = [task(0, &[seat(0), warm(1)]), task(0, &[warm(0), seat(1)])];
        let picks = choose(&tasks, &[host(1), host(0)], false);
        assert_eq!(picks, [Pick { task: 1, host: 0, warm: true }]);
    }

    #[test]
    fn batches_take_turns_whatever_is_warm() {
        let warm = Seat { warm: true, ..seat(0) };
        let tasks = [task(0, &[warm]), task(0, &[warm]), task(1, &[seat(0)])];
        let picks = choose(&tasks, &[host(2)], false);
        assert_eq!(picks.iter().map(|pick| pick.task).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn the_routes_order_holds_while_each_has_room() {
        let friend = Seat { preference: 1, warm: true, ..seat(1) };
        let tasks = vec![task(0, &[friend, seat(0)]); 2];
        assert_eq!(hosts_of(&choose(&tasks, &[host(1), host(5)], true)), [0, 1]);
    }

    #[test]
    fn the_last_lines_are_kept_from_a_machine_that_would_hold_all_up() {
        let quick = Host { limit: 4, service: Some(Duration::from_millis(100)), ..host(1) };
        let slow = Host { service: Some(Duration::from_secs(60)), ..host(4) };
        let tasks = vec![task(0, &[seat(0), seat(1)]); 8];
        assert_eq!(hosts_of(&choose(&tasks, &[quick.clone(), slow.clone()], true)), [0]);
        assert_eq!(
            choose(&tasks, &[quick.clone(), slow.clone()], false).len(),
            5,
            "far from the end it helps"
        );
        let unknown = Host { service: None, ..slow };
        assert_eq!(choose(&tasks, &[quick, unknown], true).len(), 5, "nobody is slow who was never seen");
    }

    fn any_host() -> impl Strategy<Value = Host> {
        (0usize..5, 1usize..5, any::<bool>(), any::<bool>(), prop::option::of(1u64..100_000)).prop_map(
            |(free, limit, queues, owes_us, service)| {
                let service = service.map(Duration::from_millis);
                Host { free, limit, queues, owes_us, service }
            },
        )
    }

    fn any_task(hosts: usize) -> impl Strategy<Value = Seeker> {
        let seats = prop::collection::hash_map(0..hosts, (0usize..3, any::<bool>()), 0..=hosts);
        (0usize..4, seats).prop_map(|(group, seats)| {
            let seat = |(host, (preference, warm))| Seat { host, preference, warm };
            Seeker { group, seats: seats.into_iter().map(seat).collect() }
        })
    }

    fn any_case() -> impl Strategy<Value = (Vec<Host>, Vec<Seeker>)> {
        prop::collection::vec(any_host(), 1..6).prop_flat_map(|hosts| {
            let tasks = prop::collection::vec(any_task(hosts.len()), 0..60);
            (Just(hosts), tasks)
        })
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_it_has_room_for_and_no_task_goes_twice_or_where_it_may_not(
            (hosts, tasks) in any_case(), all_listed: bool,
        ) {
            let picks = choose(&tasks, &hosts, all_listed);
            let mut given: HashMap<usize, usize> = HashMap::new();
            let mut seen = HashSet::new();
            for pick in &picks {
                prop_assert!(seen.insert(pick.task));
                let seat = tasks[pick.task].seats.iter().find(|seat| seat.host == pick.host);
                prop_assert_eq!(seat.map(|seat| seat.warm), Some(pick.warm));
                *given.entry(pick.host).or_default() += 1;
            }
            prop_assert!(given.iter().all(|(host, count)| *count <= hosts[*host].free));
        }

        #[test]
        fn no_room_is_left_over_that_a_task_could_use((hosts, tasks) in any_case()) {
            let picks = choose(&tasks, &hosts, false);
            let given = |host| picks.iter().filter(|pick| pick.host == host).count();
            let placed: HashSet<usize> = picks.iter().map(|pick| pick.task).collect();
            let groups: HashSet<usize> = tasks.iter().map(|task| task.group).collect();
            for group in groups {
                let of_group = || tasks.iter().enumerate().filter(move |(_, task)| task.group == group);
                let left = of_group().filter(|(at, _)| !placed.contains(at));
                for (_, task) in left {
                    prop_assert!(task.seats.iter().all(|seat| given(seat.host) == hosts[seat.host].free));
                }
            }
        }

        #[test]
        fn no_batch_gets_two_more_than_another_that_could_have_gone_anywhere(
            sizes in prop::collection::vec(0usize..20, 1..5), free in 0usize..40,
        ) {
            let of = |(group, size): (usize, &usize)| vec![task(group, &[seat(0)]); *size];
            let tasks: Vec<Seeker> = sizes.iter().enumerate().flat_map(of).collect();
            let picks = choose(&tasks, &[host(free)], false);
            let got = |group| picks.iter().filter(|pick| tasks[pick.task].group == group).count();
            for (group, size) in sizes.iter().enumerate() {
                if got(group) < *size {
                    prop_assert!((0..sizes.len()).all(|other| got(other) <= got(group) + 1));
                }
            }
        }
    }
}
