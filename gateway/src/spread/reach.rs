//! Who may be asked for a task, as for a request that somebody waits for; remembered for a moment, since many
//! tasks ask alike.

use super::request::route_of;
use crate::{
    candidates::{Reachable, Sought},
    failover::ATTEMPTS_MAX,
    node::Node,
    upstream::Upstream,
};
use config::{Route, Target};
use futures::future::join_all;
use parking_lot::Mutex;
use protocol::ModelName;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use work::tasks::WaitingTask;

/// What was found is believed for this long.
const FRESH: Duration = Duration::from_secs(1);

/// So many kinds of tasks are remembered; beyond it all are looked at anew.
const KINDS_MAX: usize = 1024;

/// A model that nobody has is given up after this long, if somebody who may have it did not answer.
const TRIED_FOR: Duration = Duration::from_secs(60);

/// An answer about models that is older is asked for anew before a model is given up.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// Tasks that may go to the same upstreams: the model, and where its batch wants it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) model: ModelName,
    to: Option<Vec<String>>,
}

impl Kind {
    pub(super) fn of(task: &WaitingTask) -> Self {
        let to = task.terms.as_ref().and_then(|terms| terms.to.clone());
        Self { model: task.model.clone(), to }
    }
}

/// Who may be asked.
#[derive(Clone, Debug)]
pub(super) struct Found {
    at: Instant,
    pub(super) route: Arc<Route>,
    /// All that have the model, reachable or not.
    pub(super) who: Arc<Vec<Reachable>>,
    /// Since when nobody has it.
    absent_since: Option<Instant>,
}

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Reach {
    found: Mutex<HashMap<Kind, Found>>,
}

impl Reach {
    /// Who may be asked for tasks of this kind.
    pub(super) fn look(&self, node: &Node, kind: &Kind) -> Found {
        let mut all = self.found.lock();
        let before = all.get(kind);
        if let Some(found) = before.filter(|found| found.at.elapsed() < FRESH) {
            return found.clone();
        }
        let route = Arc::new(route_of(&node.config(), &kind.model, kind.to.as_deref()));
        let sought = Sought { model: &kind.model, route: &route, streamed: false };
        let mut who = sought.who(&node.upstreams.reachable(&route.to), Some(true));
        who.extend(sought.strangers(node, ATTEMPTS_MAX));
        let now = Instant::now();
        let absent_since = match who.is_empty() {
            true => before.and_then(|found| found.absent_since).or(Some(now)),
            false => None,
        };
        if all.len() >= KINDS_MAX {
            all.clear();
        }
        let found = Found { at: now, route, who: Arc::new(who), absent_since };
        all.insert(kind.clone(), found.clone());
        found
    }

    /// Upstreams that were found for any kind of task.
    pub(super) fn everybody(&self) -> Vec<Arc<Upstream>> {
        let all = self.found.lock();
        let found = all.values().flat_map(|found| found.who.iter().map(|(_, upstream)| Arc::clone(upstream)));
        found.collect()
    }
}

/// Whether a model that nobody has is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// Somebody may turn up who has it.
    Wait,
    /// All who could have it said that they do not, or were asked for long enough.
    ForGood,
}

/// `all_answered`: everybody whom the route reaches said just now what it has. `may_turn_up`: the route leads to
/// strangers, of whom others may be heard any moment.
pub(super) fn absence(since: Duration, all_answered: bool, may_turn_up: bool) -> Absence {
    let certain = all_answered && !may_turn_up;
    if certain || since >= TRIED_FOR { Absence::ForGood } else { Absence::Wait }
}

/// Asks everybody who may have the model, and says whether it is to be given up.
pub(super) async fn ask_everybody(node: &Node, kind: &Kind, found: &Found) -> Absence {
    let reachable = node.upstreams.reachable(&found.route.to);
    join_all(reachable.iter().map(|(_, upstream)| node.prober.if_older(upstream, ASKED_WITHIN))).await;
    let sought = Sought { model: &kind.model, route: &found.route, streamed: false };
    let answered = |upstream: &Upstream| {
        let inventory = upstream.inventory();
        sought.has(upstream) == Some(false) && inventory.known && inventory.up
    };
    if reachable.iter().any(|(_, upstream)| sought.has(upstream) == Some(true)) {
        return Absence::Wait;
    }
    let all_answered = reachable.iter().all(|(_, upstream)| answered(upstream));
    let since = found.absent_since.map_or(Duration::ZERO, |since| since.elapsed());
    absence(since, all_answered, found.route.to.contains(&Target::Network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_given_up_when_all_said_no_or_after_a_minute() {
        let second = Duration::from_secs(1);
        assert_eq!(absence(second, true, false), Absence::ForGood);
        assert_eq!(absence(second, false, false), Absence::Wait);
        assert_eq!(absence(second, true, true), Absence::Wait);
        assert_eq!(absence(TRIED_FOR, false, true), Absence::ForGood);
    }
}
