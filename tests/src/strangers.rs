//! Nodes that never exchanged an address: workers that announce themselves and gateways that find them, each
//! on a host of a lab.

use crate::{Engine, Host, Lab, Node, Setup, eventually};

/// A worker that announces itself, on a host of its own with its engine beside it.
#[derive(Debug)]
pub struct Announced {
    pub engine: Engine,
    pub node: Node,
    pub host: Host,
}

/// Where nodes meet, as `lobstah.toml` has it.
#[derive(Clone, Debug)]
pub struct Meeting(&'static str, Vec<String>);

impl Meeting {
    pub fn relays(urls: &[String]) -> Self {
        Self("discovery.relays", urls.to_vec())
    }

    pub fn trackers(urls: &[String]) -> Self {
        Self("discovery.trackers", urls.to_vec())
    }

    /// Settings of a node that goes there.
    pub fn of(&self, setup: Setup) -> Setup {
        let list = list(&self.1);
        let setup = if self.0 == "discovery.relays" { setup } else { setup.set("discovery.relays", "[]") };
        setup.set(self.0, &list)
    }
}

fn list(urls: &[String]) -> String {
    format!("[{}]", urls.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", "))
}

impl Announced {
    pub async fn start(
        lab: &Lab,
        name: &str,
        meeting: &Meeting,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let host = lab.host(name);
        let engine = host.inside(crate::engine);
        let setup = Node::worker(&engine).on(&host).set("discovery.publish", "true");
        let url = format!("\"http://{}:17474\"", host.address());
        let node = change(meeting.of(setup).set("discovery.announce_url", &url)).start().await;
        Self { engine, node, host }
    }

    pub fn id(&self) -> String {
        self.node.id.to_string()
    }
}

/// A gateway on a host of its own, that finds strangers there and may use them.
pub async fn gateway_at(lab: &Lab, meeting: &Meeting, change: impl FnOnce(Setup) -> Setup) -> (Host, Node) {
    let host = lab.host("gateway");
    let setup = meeting.of(Node::gateway().on(&host)).set("discovery.subscribe", "true");
    let node = change(setup.route("to = [\"local\", \"network\"]")).start().await;
    (host, node)
}

/// Those that the gateway knows from relays and trackers.
pub async fn strangers(gateway: &Node) -> Vec<String> {
    let peers = gateway.get_json("/peers").await;
    let found = peers
        .as_array()
        .unwrap()
        .iter()
        .filter(|peer| peer["source"] == "nostr" || peer["source"] == "tracker");
    found.map(|peer| peer["pubkey"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the gateway knows the worker.
pub async fn knows(gateway: &Node, worker: &Announced) {
    eventually("the worker is known", async || strangers(gateway).await.contains(&worker.id()).then_some(()))
        .await;
}

/// Waits until it does not.
pub async fn has_forgotten(gateway: &Node, worker: &str) {
    eventually("the worker is forgotten", async || {
        (!strangers(gateway).await.iter().any(|known| known == worker)).then_some(())
    })
    .await;
}
