//! The address that this node announces: does it lead here, as far as can be told from here?

use super::{Finding, Patient};
use crate::{announce, fetch, target::Destination};
use discovery::{
    Trust,
    peer_list::show_url,
    publish::{self, Reach},
};
use serde_json::Value;
use url::Url;

const CHECK: &str = "announce";

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let discovery = &patient.config.discovery;
    if !discovery.publish {
        return vec![Finding::off(
            CHECK,
            "this node announces nothing; to be found: discovery.publish = true",
        )];
    }
    let Some(url) = &announce::announced_url(&patient.config) else {
        let mend = "discovery.announce_url = \"http://HOST:17474\", as others reach this machine";
        return vec![Finding::failed(CHECK, "no address to announce", mend)];
    };
    if !patient.config.worker.enabled {
        let mend = "worker.enabled = true, or start it by itself: lobstah worker start";
        return vec![Finding::warning(
            CHECK,
            "publish is set, and `lobstah up` starts no worker to announce",
            mend,
        )];
    }
    let reach = if discovery.allow_private { Reach::PrivateNetworks } else { Reach::Internet };
    if let Err(error) = publish::announceable(url, reach) {
        return vec![Finding::failed(CHECK, error.to_string(), "correct discovery.announce_url")];
    }
    let mut findings = Vec::new();
    if patient.config.worker.listen.ip().is_loopback() {
        let listen = patient.config.worker.listen;
        findings.push(Finding::warning(
            CHECK,
            format!("the worker listens on {listen}, which only this machine reaches"),
            format!(
                "worker.listen = \"0.0.0.0:{}\", unless a proxy in front of it forwards to it",
                listen.port()
            ),
        ));
    }
    findings.push(reached(patient, url).await);
    findings
}

/// From here it is one hop less than for others: that it answers is no proof, that it does not is one.
async fn reached(patient: &Patient, url: &Url) -> Finding {
    let shown = show_url(url);
    let port = url.port_or_known_default().unwrap_or_default();
    let mend = format!(
        "start the worker (lobstah up), and let the router forward port {port} to {}",
        patient.config.worker.listen
    );
    let Ok(to) = Destination::new(url, Trust::Friend) else {
        return Finding::failed(
            CHECK,
            format!("{shown} cannot be dialled"),
            "correct discovery.announce_url",
        );
    };
    let answer = fetch::get(&patient.connections, &to, "/pubkey", None).await;
    let key = answer.map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap_or_default());
    let own = patient.identity.as_ref().map(|identity| identity.node.node_id().to_string());
    match key {
        Err(error) => Finding::failed(CHECK, format!("{shown} does not answer from here: {error}"), mend),
        Ok(key) if key["pubkey"].as_str().is_some() && key["pubkey"].as_str() == own.as_deref() => {
            let private = publish::announceable(url, Reach::Internet).is_err();
            let note =
                if private { "; it is a private address: only the same network reaches it" } else { "" };
            Finding::ok(CHECK, format!("{shown} answers from here with this node's key{note}"))
        }
        Ok(_) => Finding::failed(CHECK, format!("another program answers at {shown}"), mend),
    }
}
