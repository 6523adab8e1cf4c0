//! A host of a lab: what runs on it, and how a story gets there.

use super::{Dns, dns, namespace::Namespace};
use std::{
    ffi::OsStr,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    process::Command,
    sync::Arc,
};

/// A handle. The host is gone when the last one is dropped; a node that runs on it holds one.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    address: Ipv4Addr,
    namespace: Namespace,
}

impl Host {
    pub(super) fn new(name: &str, address: Ipv4Addr, namespace: Namespace) -> Self {
        Self(Arc::new(Inner { name: name.to_owned(), address, namespace }))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where the other hosts reach it.
    pub fn address(&self) -> IpAddr {
        self.0.address.into()
    }

    pub(super) fn v4(&self) -> Ipv4Addr {
        self.0.address
    }

    /// Runs `work` on this host: the sockets that it makes are this host's, and stay so.
    /// `host.inside(engine)` is an engine on its loopback.
    ///
    /// Nothing that starts threads: they would be this host's for good.
    pub fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.namespace.inside(work)
    }

    /// The same for a future: `host.run(Raw::to(node.gateway_address())).await`. It names addresses, not
    /// names, which would be looked up on another thread.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| self.inside(|| work.as_mut().poll(context))).await
    }

    /// A program that will run on this host, with [`Host::hosts_file`] and [`Host::dns`] for its names.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.0.namespace.command(program)
    }

    /// Names that the programs on this host know from now on, `localhost` besides.
    pub fn hosts_file(&self, names: &[(&str, IpAddr)]) {
        let lines: String = names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
        self.0.namespace.write_hosts(&lines).unwrap();
    }

    /// A name server for the programs on this host. `script` is asked for a name's addresses, and told how
    /// often the name was looked up before: from 0. No addresses: there is no such name.
    pub fn dns(&self, script: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static) -> Dns {
        let socket = self.inside(dns::bind);
        Dns::serve(
            socket.unwrap_or_else(|error| panic!("no name server on {}: {error}", self.name())),
            script,
        )
    }
}
