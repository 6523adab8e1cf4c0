//! Friends and other servers: do they answer, and is it they?

use super::{Finding, Patient};
use crate::{node, upstream::Upstream};
use discovery::{PeerList, peer_list::show_url};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

pub(super) async fn friends(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "peer";
    let list = PeerList::at(&patient.paths.peers);
    let friends = match node::friends(&patient.config, &list).and_then(node::upstreams) {
        Ok(friends) => friends,
        Err(error) => {
            let mend = format!("mend {}, or move it away", patient.paths.peers.display());
            return vec![Finding::failed(CHECK, error.to_string(), mend)];
        }
    };
    if friends.is_empty() {
        return vec![Finding::off(CHECK, "no friends; add one with: lobstah peers add KEY URL")];
    }
    let findings = asked(patient, friends).await.into_iter().map(|friend| {
        let who = format!("{} at {}", friend.display_name(), show_url(&friend.url));
        let inventory = friend.inventory();
        let names: Vec<&str> = inventory.models().iter().map(|model| model.name.as_str()).collect();
        match &inventory.trouble {
            Some(why) => {
                let mend = format!(
                    "ask its owner whether it runs; its URL is changed with: lobstah peers add {} URL",
                    friend.name
                );
                Finding::failed(CHECK, format!("{who}: {why}"), mend)
            }
            None if names.is_empty() => Finding::warning(
                CHECK,
                format!("{who} lends no models"),
                "ask its owner: worker.models there",
            ),
            None => Finding::ok(CHECK, format!("{who} lends {}", names.join(", "))),
        }
    });
    findings.collect()
}

pub(super) async fn servers(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "upstream";
    let checks = patient.config.upstreams.iter().map(|server| async move {
        let Ok(upstream) = Upstream::server(server) else {
            return Finding::failed(CHECK, format!("{}: not a URL to dial", server.name), "correct its url");
        };
        let Some(prober) = &patient.prober else { return Finding::off(CHECK, "not asked") };
        match prober.list_models(&upstream).await {
            Ok(names) => Finding::ok(CHECK, format!("{} has {} models", server.name, names.len())),
            Err(why) if why.contains("401") || why.contains("403") => {
                let mend = "set the variable that its api_key_env names to a key that is good";
                Finding::failed(CHECK, format!("{}: the key is refused ({why})", server.name), mend)
            }
            Err(why) => {
                Finding::warning(CHECK, format!("{}: {why}", server.name), "correct its url, if it is wrong")
            }
        }
    });
    join_all(checks).await
}

async fn asked(patient: &Patient, upstreams: Vec<Arc<Upstream>>) -> Vec<Arc<Upstream>> {
    if let Some(prober) = &patient.prober {
        join_all(upstreams.iter().map(|upstream| prober.if_older(upstream, Duration::ZERO))).await;
    }
    upstreams
}
