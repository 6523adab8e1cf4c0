//! `lobstah relay start`: a small Nostr relay for a closed group.

use super::{print, up};
use crate::clock;
use clap::Subcommand;
use discovery::relay::GroupRelay;
use std::{net::IpAddr, net::SocketAddr, process::ExitCode};
use tokio_util::task::TaskTracker;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start it: workers of the group publish on it, gateways subscribe to it
    Start {
        /// The address to listen on
        #[arg(long, default_value = "127.0.0.1")]
        host: IpAddr,
        /// The port
        #[arg(long, default_value_t = 17477)]
        port: u16,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Start { host, port } = command;
    up::runtime()?.block_on(async {
        let mut signals = up::Signals::listen()?;
        let tasks = TaskTracker::new();
        let relay = GroupRelay::start(SocketAddr::new(host, port), clock::now, &tasks).await?;
        tasks.close();
        // Whether anybody reads it or not, the relay runs.
        let _ = print(&greeting(relay.address()));
        signals.stop(|| {}).await;
        relay.stop().await;
        tasks.wait().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn greeting(address: SocketAddr) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let only_here = if address.ip().is_loopback() {
        "  only this machine reaches it; for others: lobstah relay start --host 0.0.0.0\n"
    } else {
        ""
    };
    format!(
        "lobstah {version}\n  relay    ws://{address}\n{only_here}\n  In lobstah.toml of every node of the group:\n\n  \
         [discovery]\n  relays = [\"ws://{address}\"]\n  publish = true      # on machines that work for others\n  \
         subscribe = true    # on machines that ask others\n\n"
    )
}
