//! A laboratory: hosts with addresses of their own, each in its own network namespace, and between them a
//! way that takes time and loses packets, as the way between two towns does.
//!
//! ```text
//! test process        ip netns exec … lobstah up           test process
//! engine ◄─ 127.0.0.1 ─ worker ─ 203.0.113.1 ─ TUN ─► forwarder ─► TUN ─ 203.0.113.2 ─ gateway ◄─ 127.0.0.1 ─ tool
//! ```
//!
//! The hosts' addresses are of the ranges for documentation (RFC 5737), which a node takes for public
//! ones. It needs Linux, root and `ip`; where one is missing [`Lab::start`] says so and gives nothing.
//! IPv4 only: of IPv6 a host has its loopback.

mod dns;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod forwarder;
mod host;
#[cfg(target_os = "linux")]
mod linux;
mod namespace;
mod network;
mod tool;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

pub use dns::Dns;
pub use host::Host;
pub use network::{Link, Traffic};

use forwarder::Forwarder;
use namespace::Namespace;
use std::{
    io::Write,
    net::Ipv4Addr,
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

/// TEST-NET-3: the first host is 203.0.113.1.
const HOSTS: [u8; 3] = [203, 0, 113];

/// TEST-NET-2: routed as well, and nobody is there.
const EMPTY_RANGE: &str = "198.51.100.0/24";

/// Hosts in one range.
const HOSTS_MAX: u8 = 254;

/// Hosts that reach each other. Each test has one of its own.
#[derive(Debug)]
pub struct Lab {
    number: usize,
    hosts: AtomicU8,
    forwarder: Forwarder,
}

impl Lab {
    /// `None`, and a line that says why, where this machine cannot have one: then the story is skipped.
    pub fn start() -> Option<Lab> {
        static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
        match TRIED.get_or_init(try_out) {
            Ok(()) => Some(Lab::new()),
            Err(why) => {
                // Not `println!`: of a test that passes that is kept back.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
                None
            }
        }
    }

    fn new() -> Lab {
        static LABS: AtomicUsize = AtomicUsize::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        Lab { number, hosts: AtomicU8::new(0), forwarder: Forwarder::start() }
    }

    /// One more host, which reaches all the others at once and without loss. The name may have letters,
    /// digits and hyphens, and is used once in a lab.
    pub fn host(&self, name: &str) -> Host {
        self.try_host(name).unwrap_or_else(|why| panic!("no host {name}: {why}"))
    }

    fn try_host(&self, name: &str) -> Result<Host, String> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number <= HOSTS_MAX, "more than {HOSTS_MAX} hosts");
        let [a, b, c] = HOSTS;
        let address = Ipv4Addr::new(a, b, c, number);
        let namespace = Namespace::add(self.number, name)?;
        self.forwarder.join(&namespace, address)?;
        let device = system::DEVICE;
        namespace.ip(&format!(
            "link set lo up\n\
             address add {address}/24 dev {device}\n\
             link set {device} up\n\
             route add {EMPTY_RANGE} dev {device}\n"
        ))?;
        Ok(Host::new(name, address, namespace))
    }

    /// The way between two hosts, both directions of it, from the next packet on.
    pub fn link(&self, one: &Host, other: &Host, link: Link) {
        self.forwarder.network(|network| network.link(one.v4(), other.v4(), link));
    }

    /// No packet goes to or from a host any more, those that are on their way included.
    pub fn cut(&self, host: &Host) {
        self.forwarder.network(|network| network.cut(host.v4()));
    }

    /// Undoes [`Lab::cut`].
    pub fn mend(&self, host: &Host) {
        self.forwarder.network(|network| network.mend(host.v4()));
    }

    /// What became of the packets from one host to another so far.
    pub fn traffic(&self, from: &Host, to: &Host) -> Traffic {
        self.forwarder.network(|network| network.traffic(from.v4(), to.v4()))
    }
}

/// Whether this machine can have a lab, found out by making one host. Once per process, which is also
/// when the leftovers of tests that were killed are removed.
fn try_out() -> Result<(), String> {
    system::can_have_hosts()?;
    namespace::remove_leftovers();
    let host = Lab::new().try_host("trial");
    let trial = host.and_then(|host| {
        let done = host.command("true").output().map_err(|error| error.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    });
    trial.map_err(|why| format!("no network namespace can be had here: {}", why.trim()))
}
