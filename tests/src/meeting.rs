//! Places where nodes find each other: the real relay and the real tracker, on a host of a lab.

use crate::{Home, Host, process::Process};
use std::net::SocketAddr;

/// `lobstah relay start` or `lobstah tracker start` on a host; ended when dropped.
#[derive(Debug)]
pub struct MeetingPlace {
    // Before the home, whose files have its log.
    pub process: Process,
    home: Home,
    address: SocketAddr,
    scheme: &'static str,
}

impl MeetingPlace {
    pub async fn relay(host: &Host) -> Self {
        Self::start(host, "relay", "ws", 17477).await
    }

    pub async fn tracker(host: &Host) -> Self {
        Self::start(host, "tracker", "http", 17476).await
    }

    async fn start(host: &Host, what: &'static str, scheme: &'static str, port: u16) -> Self {
        let home = Home::new().on(host);
        let address = SocketAddr::new(host.address(), port);
        let (ip, port) = (address.ip().to_string(), port.to_string());
        let mut process = Process::start(&home, &[what, "start", "--host", &ip, "--port", &port]);
        let url = format!("{scheme}://{address}");
        process.says("where it is", |text| text.contains(&url).then_some(())).await;
        Self { process, home, address, scheme }
    }

    /// For `discovery.relays` or `discovery.trackers`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn home(&self) -> &Home {
        &self.home
    }
}
