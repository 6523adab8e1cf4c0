//! Why a request would go where it goes: every upstream, and why it is taken or is not.
//!
//! The same functions decide here and when a request comes; what changes between the two is only time.

use crate::{
    candidates::{Reachable, Sought},
    failover::ATTEMPTS_MAX,
    node::Node,
    route::{self, Why},
    upstream::{Identity, Upstream},
};
use config::Target;
use futures::future::join_all;
use protocol::ModelName;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long everybody is given to say what they have.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known is asked again if it is older.
const FRESH: Duration = Duration::from_secs(1);

/// The answer of `lobstah route explain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    pub model: String,
    /// What local, friends and network are asked for in its place.
    #[serde(rename = "use")]
    pub use_model: Option<String>,
    /// The glob of the route, or `None` if no route names the model.
    pub route: Option<String>,
    /// The groups that the route reaches, in its order.
    pub to: Vec<String>,
    /// The label that is preferred.
    pub tier: Option<String>,
    /// In the order in which they are asked; those that are not asked after them.
    pub candidates: Vec<Explanation>,
}

/// One upstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// 1 for the one that is asked first; `None` for one that is not asked.
    pub place: Option<usize>,
    /// `local`, a node's key or an upstream's name: as `x-lobstah-worker` has it.
    pub peer: String,
    pub label: String,
    /// `local`, `friends`, `network` or `upstreams`.
    pub group: String,
    pub url: String,
    pub reason: String,
}

/// Asks everybody who may matter what they have, and says what a request would do now.
pub async fn explain(node: &Node, model: &ModelName, streamed: bool) -> Explained {
    let config = node.config();
    let route = config.route_for(model.as_str());
    let sought = Sought { model, route: &route, streamed };
    let reachable = node.upstreams.reachable(&route.to);
    let strangers = sought.strangers(node, ATTEMPTS_MAX);
    ask(node, &reachable, &strangers).await;
    let (asked, aside) = sort(&sought, &reachable, strangers);
    let views: Vec<_> = {
        let now = Instant::now();
        asked.iter().map(|(preference, upstream)| upstream.candidate(*preference, now)).collect()
    };
    let order = route::best(&views, sought.tier(), node.next_spread(), usize::MAX);
    let mut candidates: Vec<Explanation> = order
        .iter()
        .enumerate()
        .map(|(before, &at)| {
            let reason = Why(&views[at], sought.tier()).to_string();
            Explanation { place: Some(before + 1), ..explanation(&asked[at].1, reason) }
        })
        .collect();
    candidates.extend(aside.into_iter().map(|(upstream, reason)| explanation(&upstream, reason)));
    if route.to.contains(&Target::Network) {
        let passed_over = node.strangers.passed_over(sought.model_for_peers(), ATTEMPTS_MAX);
        let named: Vec<String> = candidates.iter().map(|one| one.peer.clone()).collect();
        let others = passed_over.into_iter().filter(|(upstream, _)| !named.contains(&upstream.name));
        candidates.extend(others.map(|(upstream, why)| explanation(&upstream, why.to_owned())));
    }
    candidates.extend(elsewhere(node, &reachable));
    Explained {
        model: model.to_string(),
        use_model: route.use_model.as_ref().map(ToString::to_string),
        route: config.routes.contains(&route).then(|| route.model.to_string()),
        to: route.to.iter().map(ToString::to_string).collect(),
        tier: sought.tier().map(|tier| tier.as_str().to_owned()),
        candidates,
    }
}

async fn ask(node: &Node, reachable: &[Reachable], strangers: &[Reachable]) {
    let known = join_all(reachable.iter().map(|(_, upstream)| node.prober.if_older(upstream, FRESH)));
    let announced = join_all(strangers.iter().map(|(_, upstream)| node.prober.ask_once(upstream)));
    // Who does not answer in time is explained as it was known before.
    let _ = tokio::time::timeout(PATIENCE, async { tokio::join!(known, announced) }).await;
}

/// Those that are asked, and those that are not with the reason.
fn sort(
    sought: &Sought<'_>,
    reachable: &[Reachable],
    strangers: Vec<Reachable>,
) -> (Vec<Reachable>, Vec<(Arc<Upstream>, String)>) {
    let mut have = sought.who(reachable, Some(true));
    let mut aside = Vec::new();
    for (place, upstream) in strangers {
        match sought.has(&upstream) {
            Some(false) => aside.push((upstream, "does not have the model that it announced".to_owned())),
            _ => have.push((place, upstream)),
        }
    }
    let unsaid = sought.who(reachable, None);
    if have.is_empty() {
        have = unsaid;
    } else {
        let reason = "never said what it has; asked only if nobody is known to have the model";
        aside.extend(unsaid.into_iter().map(|(_, upstream)| (upstream, reason.to_owned())));
    }
    for (_, upstream) in sought.who(reachable, Some(false)) {
        let inventory = upstream.inventory();
        let reason = match &inventory.trouble {
            _ if upstream.serves(sought.model_for(&upstream)) == Some(true) => {
                "runs in Ollama's cloud; a route to local alone has to name it in full".to_owned()
            }
            Some(why) => why.clone(),
            None => "does not have the model".to_owned(),
        };
        aside.push((upstream, reason));
    }
    (have, aside)
}

/// Those that the route does not reach at all.
fn elsewhere(node: &Node, reachable: &[Reachable]) -> Vec<Explanation> {
    let all = node.upstreams.all();
    let not_reached = all.iter().filter(|one| !reachable.iter().any(|(_, other)| Arc::ptr_eq(one, other)));
    not_reached.map(|upstream| explanation(upstream, "the route does not lead there".into())).collect()
}

fn explanation(upstream: &Upstream, reason: String) -> Explanation {
    let group = match upstream.identity {
        Identity::Local => "local",
        Identity::Friend { .. } => "friends",
        Identity::Stranger { .. } => "network",
        Identity::Server { .. } => "upstreams",
    };
    Explanation {
        place: None,
        peer: upstream.name.clone(),
        label: upstream.display_name(),
        group: group.to_owned(),
        url: discovery::peer_list::show_url(&upstream.url).to_owned(),
        reason,
    }
}
