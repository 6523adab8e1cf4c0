//! From what waits and who has room to flights: a view for [`choose`], and its picks carried out.

use super::{
    FLIGHTS_BYTES_MAX, FLIGHTS_MAX, Going, Spread,
    choose::{Host, Seat, Seeker, choose},
    flight::Flight,
    reach::{self, Absence, Kind},
};
use crate::{
    asynchronous::jobs, breaker::Admission, candidates::Reachable, clock, orders, route::Standing,
    upstream::Upstream,
};
use config::Route;
use futures::FutureExt;
use protocol::ModelName;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use work::tasks::{WaitingTask, Wanted};

/// For each place so many tasks are looked at, so that one can be chosen that suits it ...
const LISTED_A_PLACE: usize = 4;

/// ... but at least so many, and at most.
const LISTED: std::ops::RangeInclusive<usize> = 16..=512;

/// A stranger that does not say in this time what it has is not used.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(3);

/// So often at most it is looked past tasks that have no place for tasks of other models.
const LOOKS_MAX: usize = 8;

/// The upstreams of one look, each once.
#[derive(Default)]
struct Hosts {
    upstreams: Vec<Arc<Upstream>>,
    views: Vec<Host>,
    places: HashMap<String, usize>,
}

impl Hosts {
    fn place_of(&mut self, upstream: &Arc<Upstream>, now: Instant) -> usize {
        if let Some(&known) = self.places.get(&upstream.name) {
            return known;
        }
        let place = self.upstreams.len();
        self.places.insert(upstream.name.clone(), place);
        self.views.push(view(upstream, now));
        self.upstreams.push(Arc::clone(upstream));
        place
    }
}

/// An upstream as the choice sees it. Who rests, is down or lends nothing has no room: nobody waits for an
/// answer, so nobody is asked as a last resort. One that rested long enough is tried with one task.
fn view(upstream: &Upstream, now: Instant) -> Host {
    let candidate = upstream.candidate(0, now);
    let room = candidate.limit.saturating_sub(candidate.in_flight);
    let free = match (candidate.standing(), candidate.admission) {
        (Standing::Free | Standing::Queues, Admission::Probing) => room.min(1),
        (Standing::Free | Standing::Queues, _) => room,
        (Standing::LastResort | Standing::Busy, _) => 0,
    };
    Host {
        free,
        limit: candidate.limit,
        queues: candidate.standing() == Standing::Queues,
        owes_us: candidate.owes_us,
        service: upstream.service(),
    }
}

impl<'n> Spread<'n> {
    /// Gives what waits to whoever has room. `anew`: who there is may have changed, so it is looked even if
    /// nobody is known to have room. Whether something waits that found no place.
    pub(super) async fn place_all<'s>(&'s self, anew: bool, going: &mut Going<'s>) -> bool {
        let mut busy: HashSet<ModelName> = HashSet::new();
        for _ in 0..LOOKS_MAX {
            let room = match self.room() {
                Some(0) if anew => 1,
                Some(0) | None => return true,
                Some(room) => room,
            };
            // It is looked past tasks that have no room where there is a place.
            let past = self.past.lock().without_room().min(*LISTED.end());
            let leasing = self.leasing.lock().len() + past;
            let limit = (room * LISTED_A_PLACE).clamp(*LISTED.start(), *LISTED.end()) + leasing;
            let wanted = Wanted { limit, busy: busy.clone() };
            let listed = match self.node.work.tasks().waiting(wanted, clock::now()).await {
                Ok(listed) => listed,
                Err(error) => {
                    tracing::warn!(%error, "what waits is not known now");
                    return true;
                }
            };
            let all_listed = listed.len() < limit && busy.is_empty();
            let mut tasks = listed;
            tasks.retain(|task| !self.leasing.lock().contains(&task.id));
            if tasks.is_empty() {
                if busy.is_empty() {
                    self.hedge(going).await;
                }
                return !busy.is_empty();
            }
            let left = self.place(tasks, all_listed, going);
            if left.is_empty() && all_listed {
                return false;
            }
            // Tasks of models that have no place stand before others in the list: it is looked past them.
            let known = busy.len();
            busy.extend(left);
            if busy.len() == known {
                return true;
            }
        }
        true
    }

    /// For how many tasks there is room, as far as is known; `None` if no more may be on their way.
    fn room(&self) -> Option<usize> {
        let load = *self.load.lock();
        if load.flights >= FLIGHTS_MAX || load.bytes >= FLIGHTS_BYTES_MAX {
            return None;
        }
        let now = Instant::now();
        let mut names = HashSet::new();
        let mut upstreams: Vec<_> = self.node.upstreams.all().iter().map(Arc::clone).collect();
        upstreams.extend(self.reach.everybody().into_iter().filter(|upstream| upstream.is_stranger()));
        upstreams.retain(|upstream| names.insert(upstream.name.clone()));
        let free: usize = upstreams.iter().map(|upstream| view(upstream, now).free).sum();
        Some(free.min(FLIGHTS_MAX - load.flights))
    }

    /// Places tasks; gives the models of those that found none.
    fn place<'s>(
        &'s self,
        tasks: Vec<WaitingTask>,
        all_listed: bool,
        going: &mut Going<'s>,
    ) -> HashSet<ModelName> {
        let mut hosts = Hosts::default();
        let mut groups: HashMap<Option<String>, usize> = HashMap::new();
        let seekers: Vec<Seeker> = tasks
            .iter()
            .map(|task| {
                let batch = task.terms.as_ref().map(|terms| terms.id.clone());
                let next = groups.len();
                let group = *groups.entry(batch).or_insert(next);
                Seeker { group, seats: self.seats(task, &mut hosts, going) }
            })
            .collect();
        let picks = choose(&seekers, &hosts.views, all_listed);
        let mut tasks: Vec<Option<WaitingTask>> = tasks.into_iter().map(Some).collect();
        for pick in picks {
            let upstream = &hosts.upstreams[pick.host];
            // A request that somebody waits for may have been quicker.
            let Some(slot) = self.node.slots.try_take(&upstream.lane) else { continue };
            let Some(task) = tasks[pick.task].take() else { continue };
            let upstream = Arc::clone(upstream);
            self.leasing.lock().insert(task.id);
            self.begin(Flight { task, upstream, slot, warm: pick.warm, hedge: false }, going);
        }
        tasks.into_iter().flatten().map(|task| task.model).collect()
    }

    /// Lets a task go.
    pub(super) fn begin<'s>(&'s self, flight: Flight, going: &mut Going<'s>) {
        let (id, bytes) = (flight.task.id, flight.task.bytes);
        let batch = flight.task.terms.as_ref().map(|terms| terms.id.clone());
        {
            let mut load = self.load.lock();
            load.flights += 1;
            load.bytes += bytes;
        }
        let flight = async move {
            let was_leased = self.fly(flight).await;
            self.leasing.lock().remove(&id);
            // What it did not use may be spent.
            batch.filter(|_| was_leased).into_iter().for_each(|batch| self.money.lock().look_at(&batch));
            let mut load = self.load.lock();
            load.flights -= 1;
            load.bytes -= bytes;
        };
        going.push(flight.boxed());
    }

    /// Where a task may go now. Where it came to nothing before it goes only if nobody else is of use.
    fn seats<'s>(&'s self, task: &WaitingTask, hosts: &mut Hosts, going: &mut Going<'s>) -> Vec<Seat> {
        let kind = Kind::of(task);
        let found = self.reach.look(self.node, &kind);
        if found.who.is_empty() {
            self.ask_about(task, kind, found, going);
            return Vec::new();
        }
        if self.nobody_has_room(task, &found, going) {
            return Vec::new();
        }
        let now = Instant::now();
        let may = |(_, upstream): &&Reachable| {
            !self.past.lock().has_no_room(task.id, &upstream.name) && self.may_be_given(task, upstream, going)
        };
        let usable: Vec<&Reachable> = found.who.iter().filter(may).collect();
        let (past, warm) = (self.past.lock(), self.warm.lock());
        let seat = |(preference, upstream): &Reachable, hosts: &mut Hosts| Seat {
            host: hosts.place_of(upstream, now),
            preference: *preference,
            warm: warm.is_warm(&task.model, task.opening, &upstream.name),
        };
        let untried = |upstream: &Upstream| {
            let standing = upstream.candidate(0, now).standing();
            !past.was_tried(task.id, &upstream.name) && standing != Standing::LastResort
        };
        let fresh: Vec<_> = usable.iter().filter(|(_, upstream)| untried(upstream)).collect();
        let seats = if fresh.is_empty() { usable.iter().collect() } else { fresh };
        seats.into_iter().map(|reachable| seat(reachable, hosts)).collect()
    }

    /// Whether an upstream may be given this task at all. A stranger is asked first what it has.
    fn may_be_given<'s>(&'s self, task: &WaitingTask, upstream: &Arc<Upstream>, going: &Going<'s>) -> bool {
        if self.node.prober.must_ask(upstream) {
            let upstream = Arc::clone(upstream);
            let ask = async move {
                let asked = self.node.prober.ask_once(&upstream);
                if tokio::time::timeout(INTRODUCED_WITHIN, asked).await.is_err() {
                    upstream.set_down("it did not say in time what it has".to_owned());
                }
            };
            going.push(ask.boxed());
            return false;
        }
        if upstream.is_own() {
            return true;
        }
        if self.node.cannot_keep_receipts().is_some() {
            return false;
        }
        let short = task.terms.as_ref().is_some_and(|terms| self.money.lock().is_short(&terms.id));
        let price = upstream.inventory().price(&task.model);
        !short && orders::affordable(price, self.node.config().gateway.max_price)
    }

    /// Nobody is known to have the model: everybody is asked, and then it is given up or waited for.
    fn ask_about<'s>(&'s self, task: &WaitingTask, kind: Kind, found: reach::Found, going: &Going<'s>) {
        if !self.asked_about.lock().insert(kind.clone()) {
            return;
        }
        let task = task.clone();
        let ask = async move {
            if reach::ask_everybody(self.node, &kind, &found).await == Absence::ForGood {
                self.give_up(&task, &found.route).await;
            }
            self.asked_about.lock().remove(&kind);
        };
        going.push(ask.boxed());
    }

    async fn give_up(&self, task: &WaitingTask, route: &Route) {
        const CODE: &str = "model_not_found";
        let message = match route.to.as_slice() {
            [] => format!("the route of the model `{}` leads nowhere that `metadata.to` names", task.model),
            _ => format!("no upstream that is known has the model `{}`", task.model),
        };
        let tasks = self.node.work.tasks();
        let now = clock::now();
        let failed = match &task.terms {
            Some(terms) => tasks.fail_model(&terms.id, &task.model, (CODE, &message), now).await.err(),
            None => {
                let given_up = tasks.give_up(task.id, (CODE, &message), now).await;
                given_up.unwrap_or_else(|error| tracing::debug!(%error, "a job that nobody can do"));
                return jobs::over(self.node, task.id);
            }
        };
        if let Some(error) = failed {
            tracing::debug!(%error, model = %task.model, "lines that nobody can answer");
        }
    }

    /// Whether somebody else could be asked for a task that this upstream refused: of two strangers, who may
    /// be one, the second says nothing new.
    pub(super) fn others_left(&self, task: &WaitingTask, refused: &Upstream) -> bool {
        let found = self.reach.look(self.node, &Kind::of(task));
        let past = self.past.lock();
        let now = Instant::now();
        found.who.iter().any(|(_, other)| {
            let was_asked = past.was_tried(task.id, &other.name) || past.has_no_room(task.id, &other.name);
            other.name != refused.name
                && !(other.is_stranger() && refused.is_stranger())
                && !was_asked
                && other.candidate(0, now).standing() != Standing::LastResort
        })
    }
}
