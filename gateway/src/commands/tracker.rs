//! `lobstah tracker start`

use super::{print, up};
use crate::{
    services::{self, Listening},
    tracker::Tracker,
};
use clap::Subcommand;
use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// What is in flight when it is told to stop takes milliseconds.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start it: workers announce themselves to it, gateways ask it for the list
    Start {
        /// The address to listen on
        #[arg(long, default_value = "127.0.0.1")]
        host: IpAddr,
        /// The port
        #[arg(long, default_value_t = 17476)]
        port: u16,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Start { host, port } = command;
    let bound = services::bind("tracker", SocketAddr::new(host, port))?;
    let greeting = greeting(bound.address());
    up::runtime()?.block_on(async {
        let mut signals = up::Signals::listen()?;
        let tracker = Arc::new(Tracker::new());
        let listening = Listening::default();
        listening.serve(bound, Arc::clone(&tracker));
        // Whether anybody reads it or not, the tracker runs.
        let _ = print(&greeting);
        signals.stop(|| {}).await;
        tracker.stopping.cancel();
        listening.stop().await;
        tracker.open.close();
        let _ = tokio::time::timeout(GRACE, tracker.open.wait()).await;
        Ok(ExitCode::SUCCESS)
    })
}

fn greeting(address: SocketAddr) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let only_here = if address.ip().is_loopback() {
        "  only this machine reaches it; for others: lobstah tracker start --host 0.0.0.0\n"
    } else {
        ""
    };
    format!(
        "lobstah {version}\n  tracker  http://{address}\n{only_here}\n  In lobstah.toml of nodes that cannot use WebSockets:\n\n  \
         [discovery]\n  relays = []\n  trackers = [\"http://{address}\"]\n  publish = true      # on machines that work for others\n  \
         subscribe = true    # on machines that ask others\n\n"
    )
}
