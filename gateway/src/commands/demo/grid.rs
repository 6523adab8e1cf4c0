//! The demo's grid: a relay, two workers and a gateway in one process, and their books.

use crate::{
    clock,
    commands::{print, table},
    exchange::Role,
    identity_file,
    node::{Node, Plan},
    services::{self, Services},
};
use ::config::{Config, Environment, Paths};
use anyhow::{Context, bail};
use discovery::relay::GroupRelay;
use ledger::Entry;
use protocol::{Receipt, Signed};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use url::Url;

/// How long the demo's own nodes may take to find each other.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A relay, two workers that announce themselves on it, and a gateway that finds them there; each node with
/// a home of its own.
pub(super) struct Grid {
    gateway: Arc<Node>,
    pub(super) gateway_address: SocketAddr,
    workers: Vec<(Arc<Node>, SocketAddr)>,
    services: Vec<Services>,
    relay: GroupRelay,
}

impl Grid {
    /// Starts all of it, and waits until the gateway has heard of both workers on the relay.
    pub(super) async fn start(folder: &Path, engine: &Url) -> anyhow::Result<Self> {
        let tasks = TaskTracker::new();
        let relay = GroupRelay::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock::now, &tasks).await?;
        tasks.close();
        let mut services = Vec::new();
        let mut workers = Vec::new();
        for label in ["worker-1", "worker-2"] {
            let (node, address, service) = start_node(folder, label, engine, Role::Worker, relay.url())?;
            workers.push((node, address));
            services.push(service);
        }
        // The gateway's own engine is a port where nothing answers, so that all work goes to strangers.
        let nobody = Url::parse("http://127.0.0.1:9")?;
        let (gateway, gateway_address, service) =
            start_node(folder, "gateway", &nobody, Role::Gateway, relay.url())?;
        services.push(service);
        let grid = Self { gateway, gateway_address, workers, services, relay };
        grid.wait_until_known().await?;
        Ok(grid)
    }

    async fn wait_until_known(&self) -> anyhow::Result<()> {
        let known = async {
            while self.gateway.strangers.len() < self.workers.len() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, known).await.context("the workers were not heard of on the relay")
    }

    pub(super) fn introduction(&self) -> String {
        let mut rows: Vec<Vec<String>> = Vec::new();
        rows.push(vec!["relay".into(), self.relay.url().to_string(), "-".into()]);
        rows.push(vec![
            "gateway".into(),
            format!("http://{}", self.gateway_address),
            self.gateway.me.short(),
        ]);
        for (at, (node, address)) in self.workers.iter().enumerate() {
            rows.push(vec![format!("worker-{}", at + 1), format!("http://{address}"), node.me.short()]);
        }
        format!("{}\n", table::render(&["node", "at", "key"], &rows))
    }

    pub(super) async fn show_books(&self) -> anyhow::Result<()> {
        let received = self.gateway.ledger.last(1).await?;
        let entry = received.first().context("the gateway kept no receipt")?;
        let receipt = parse(entry)?;
        let served = self.workers.iter().position(|(node, _)| node.me == receipt.worker);
        let at = served.context("the receipt names a worker that is not in the demo")?;
        let kept = self.workers[at].0.ledger.last(1).await?;
        let agree = kept.first().is_some_and(|other| other.signed == entry.signed);
        print(&format!(
            "\n\nreceipt {}\n  signed by worker-{} ({}) for the gateway ({})\n  {}: {} tokens in, {} out, {} ms\n  \
             in the worker's ledger and in the gateway's: {}\n\n",
            receipt.job_id,
            at + 1,
            receipt.worker.short(),
            self.gateway.me.short(),
            receipt.model,
            receipt.usage.input_tokens,
            receipt.usage.output_tokens,
            receipt.completed_at.millis_since(receipt.started_at),
            if agree { "the same bytes" } else { "they differ" },
        ))?;
        let mut rows = Vec::new();
        let named =
            [("gateway", &self.gateway), ("worker-1", &self.workers[0].0), ("worker-2", &self.workers[1].0)];
        for (name, node) in named {
            let account = node.ledger.account(protocol::Requester::Node(node.me)).await?;
            let numbers = [account.earned, account.spent, account.receipts].map(|number| number.to_string());
            rows.push([vec![name.to_owned()], numbers.to_vec()].concat());
        }
        print(&table::render(&["balance of", "earned", "spent", "receipts"], &rows))?;
        if !agree {
            bail!("the two ledgers differ");
        }
        Ok(())
    }

    pub(super) async fn stop(self) {
        for service in self.services {
            service.stop(Duration::from_secs(1)).await;
        }
        self.relay.stop().await;
    }
}

fn parse(entry: &Entry) -> anyhow::Result<Receipt> {
    let verified = Signed::<Receipt>::parse(entry.signed.as_bytes())?.verify()?;
    Ok(Receipt::clone(&verified))
}

fn start_node(
    folder: &Path,
    name: &str,
    engine: &Url,
    role: Role,
    relay: &Url,
) -> anyhow::Result<(Arc<Node>, SocketAddr, Services)> {
    let home = folder.join(name);
    identity_file::private_folder(&home)?;
    let env: Environment = [("LOBSTAH_HOME", home.as_os_str())].into_iter().collect();
    let paths = Paths::from_env(&env)?;
    let (identity, _) = identity_file::load_or_create(&paths.identity)?;
    let bound = services::bind(role.as_str(), SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = bound.address();
    let node = Node::build(Plan {
        config: config(&home, engine, address, name, relay)?,
        source: None,
        identity,
        paths,
        block_private: false,
        strangers_may_be_here: true,
    })?;
    let services = Services::start(Arc::clone(&node), vec![(role, bound)]);
    Ok((node, address, services))
}

/// Every node has the same settings; its role decides which of them matter.
fn config(home: &Path, engine: &Url, address: SocketAddr, name: &str, relay: &Url) -> anyhow::Result<Config> {
    let text = format!(
        "[gateway]\nlisten = \"{address}\"\n[ollama]\nurl = \"{engine}\"\n[worker]\nlisten = \"{address}\"\n\
         [discovery]\nsubscribe = true\npublish = true\nrelays = [\"{relay}\"]\n\
         announce_url = \"http://{address}\"\nannounce_label = \"{name}\"\n\
         [[routes]]\nmodel = \"*\"\nto = [\"local\", \"network\"]\n"
    );
    let loaded = ::config::load_text(&home.join("lobstah.toml"), &text, &Environment::default(), &[]);
    Ok(loaded.map_err(|problems| anyhow::anyhow!("{}", problems[0]))?.config)
}
