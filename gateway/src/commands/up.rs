//! `lobstah up`, `worker start`, `router start`: a node that runs until it is told to stop.

use super::{Home, counted, print};
use crate::{
    exchange::Role,
    node::Node,
    services::{self, Bound, Services},
};
use ::config::Flag;
use std::{net::IpAddr, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

#[derive(clap::Args, Debug)]
pub struct UpArgs {}

#[derive(clap::Args, Debug)]
pub struct RouterArgs {
    /// The address to listen on [default: that of gateway.listen]
    #[arg(long)]
    host: Option<IpAddr>,
    /// The port [default: that of gateway.listen]
    #[arg(long)]
    port: Option<u16>,
}

#[derive(clap::Args, Debug)]
pub struct WorkerArgs {
    /// The address to listen on [default: that of worker.listen]
    #[arg(long)]
    host: Option<IpAddr>,
    /// The port [default: that of worker.listen]
    #[arg(long)]
    port: Option<u16>,
    /// What this machine is good for
    #[arg(long, value_parser = ["interactive", "batch", "best-effort"])]
    tier: Option<String>,
    /// Requests in the engine at once
    #[arg(long)]
    concurrency: Option<u32>,
    /// Announce this worker on Nostr relays
    #[arg(long)]
    publish_via_nostr: bool,
    /// A relay to announce it on; may be given more than once [default: discovery.relays]
    #[arg(long = "nostr-relay", value_name = "URL", requires = "publish_via_nostr")]
    nostr_relays: Vec<String>,
    /// A tracker to announce it to; may be given more than once
    #[arg(long, value_name = "URL")]
    announce_to: Vec<String>,
    /// Where others reach it: scheme, host and port [default: worker.listen]
    #[arg(long, value_name = "URL")]
    announce_url: Option<String>,
    /// What it calls itself
    #[arg(long, value_name = "NAME")]
    announce_label: Option<String>,
    /// How long an announcement counts
    #[arg(long, value_name = "SECONDS")]
    announce_ttl: Option<u32>,
}

impl WorkerArgs {
    /// What is said of announcing, as settings.
    /// `publishes`: the settings do already, on relays.
    fn announcing(self, publishes: bool, flags: &mut Vec<Flag>) {
        let list = |urls: Vec<String>| toml::Value::Array(urls.into_iter().map(Into::into).collect());
        if self.publish_via_nostr {
            flags.push(flag("--publish-via-nostr", "discovery.publish", true));
        } else if !self.announce_to.is_empty() {
            flags.push(flag("--announce-to", "discovery.publish", true));
            if !publishes {
                // Trackers were asked for, and relays were not.
                flags.push(flag("--announce-to", "discovery.relays", list(Vec::new())));
            }
        }
        if !self.nostr_relays.is_empty() {
            flags.push(flag("--nostr-relay", "discovery.relays", list(self.nostr_relays)));
        }
        if !self.announce_to.is_empty() {
            flags.push(flag("--announce-to", "discovery.trackers", list(self.announce_to)));
        }
        flags.extend(self.announce_url.map(|url| flag("--announce-url", "discovery.announce_url", url)));
        flags.extend(
            self.announce_label.map(|name| flag("--announce-label", "discovery.announce_label", name)),
        );
        flags.extend(self.announce_ttl.map(|ttl| flag("--announce-ttl", "discovery.ttl", format!("{ttl}s"))));
    }
}

pub fn up(_args: UpArgs) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let worker = home.config(&[])?.worker.enabled;
    run(&home, &[], true, worker)
}

pub fn router(args: RouterArgs) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let before = home.config(&[])?.gateway.listen;
    let flags = listen_flag("gateway.listen", before, args.host, args.port);
    run(&home, &flags, true, false)
}

pub fn worker(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let before = home.config(&[])?.worker.listen;
    let mut flags = listen_flag("worker.listen", before, args.host, args.port);
    flags.extend(args.tier.clone().map(|tier| flag("--tier", "worker.tier", tier)));
    flags.extend(args.concurrency.map(|count| flag("--concurrency", "worker.concurrency", i64::from(count))));
    args.announcing(home.config(&[])?.discovery.publish, &mut flags);
    run(&home, &flags, false, true)
}

fn listen_flag(
    key: &str,
    before: std::net::SocketAddr,
    host: Option<IpAddr>,
    port: Option<u16>,
) -> Vec<Flag> {
    if host.is_none() && port.is_none() {
        return Vec::new();
    }
    let address = std::net::SocketAddr::new(host.unwrap_or(before.ip()), port.unwrap_or(before.port()));
    let name = if host.is_some() { "--host" } else { "--port" };
    vec![flag(name, key, address.to_string())]
}

fn flag(name: &str, key: &str, value: impl Into<toml::Value>) -> Flag {
    Flag { flag: name.to_owned(), key: key.to_owned(), value: value.into() }
}

/// The runtime that everything of a node runs on: as many threads as the process may use.
pub fn runtime() -> std::io::Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

fn run(home: &Home, flags: &[Flag], gateway: bool, worker: bool) -> anyhow::Result<ExitCode> {
    let (_, new_identity) = home.identity()?;
    let plan = home.plan(flags)?;
    let config = &plan.config;
    let mut bound = Vec::new();
    if gateway {
        bound.push((Role::Gateway, services::bind(Role::Gateway.as_str(), config.gateway.listen)?));
    }
    if worker {
        bound.push((Role::Worker, services::bind(Role::Worker.as_str(), config.worker.listen)?));
    }
    let node = Node::build(plan)?;
    let made = new_identity.then(|| home.paths.identity.display().to_string());
    let greeting = greeting(&node, &bound, made.as_deref());
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let services = Services::start(Arc::clone(&node), bound);
        // Whether anybody reads it or not, the node runs.
        let _ = print(&greeting);
        let told_to_stop = tokio::select! {
            () = say_what_is_found(&node) => false,
            () = signals.stop(|| node.reload()) => true,
        };
        if !told_to_stop {
            signals.stop(|| node.reload()).await;
        }
        let drain = node.config().gateway.drain;
        // Finishes what is in flight; a second signal does not wait for it.
        tokio::select! {
            cut = services.stop(drain) => {
                if cut > 0 {
                    tracing::warn!("{} cut: not done within {} s", counted(cut, "request"), drain.as_secs());
                }
                Ok(ExitCode::SUCCESS)
            }
            () = signals.stop(|| {}) => {
                tracing::warn!("stopped at once; what was in flight is cut");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

/// What a running node is told by signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves when the node is to stop. A hang-up does not end it, but calls `reload`.
    pub async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}

fn greeting(node: &Node, bound: &[(Role, Bound)], new_identity: Option<&str>) -> String {
    let mut text = format!("lobstah {}  {}\n", env!("CARGO_PKG_VERSION"), node.me);
    if let Some(path) = new_identity {
        text.push_str(&format!("  a new identity, kept in {path}: back it up\n"));
    }
    for (role, one) in bound {
        let path = if *role == Role::Gateway { "/v1" } else { "" };
        text.push_str(&format!("  {:<8} http://{}{path}\n", role.as_str(), one.address()));
    }
    text.push_str(&format!(
        "  {:<8} {}\n",
        "ollama",
        node.config().ollama.url.as_str().trim_end_matches('/')
    ));
    if let Some((_, gateway)) = bound.iter().find(|(role, _)| *role == Role::Gateway) {
        text.push_str(&how_to_use(gateway.address(), node.config().gateway.api_keys.is_empty()));
    }
    text
}

/// The lines that make every existing tool use this gateway.
pub fn how_to_use(address: std::net::SocketAddr, keyless: bool) -> String {
    let mut reach = address;
    if address.ip().is_unspecified() {
        reach.set_ip(if address.is_ipv4() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let key = if keyless {
        "lobstah    # any value: no key is needed here"
    } else {
        "…          # one of gateway.api_keys"
    };
    format!("\n  export OPENAI_BASE_URL=http://{reach}/v1\n  export OPENAI_API_KEY={key}\n\n")
}

/// Asks Ollama and the peers once, and says what there is.
async fn say_what_is_found(node: &Node) {
    let all = node.upstreams.all();
    let asked = all.iter().map(|upstream| node.prober.if_older(upstream, Duration::from_secs(5)));
    futures::future::join_all(asked).await;
    let mut text = String::new();
    for upstream in all.iter() {
        let inventory = upstream.inventory();
        let names: Vec<&str> = inventory.models().iter().map(|model| model.name.as_str()).collect();
        let who = upstream.display_name();
        text.push_str(&match (inventory.up, names.is_empty()) {
            (false, _) => {
                let why = inventory.trouble.as_deref().unwrap_or("it does not answer");
                format!("  {who} is not there yet: {why}\n")
            }
            (true, true) => format!("  {who} has no models\n"),
            (true, false) => format!("  {who} has {}: {}\n", counted(names.len(), "model"), names.join(", ")),
        });
    }
    let _ = print(&text);
}
