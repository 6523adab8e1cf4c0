//! What only Linux has: network namespaces and TUN devices.

use rustix::{
    process::geteuid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{fs::File, io, os::fd::AsFd, path::Path};
use tokio_tun::{Tun, TunBuilder};

/// The name of a host's device, in its own namespace.
pub(super) const DEVICE: &str = "tun0";

/// A TUN device; gone when dropped.
pub(super) struct Device(Tun);

impl Device {
    /// Makes one in the namespace of this thread. Needs a tokio runtime.
    pub(super) fn open() -> io::Result<Device> {
        let mut devices = TunBuilder::new().name(DEVICE).build().map_err(io::Error::other)?;
        devices.pop().map(Device).ok_or_else(|| io::Error::other("the device has no queue"))
    }

    /// The next packet that the host sends; gives its length.
    pub(super) async fn take(&self, packet: &mut [u8]) -> io::Result<usize> {
        self.0.recv(packet).await
    }

    /// Gives a packet to the host.
    pub(super) fn give(&self, packet: &[u8]) -> io::Result<usize> {
        self.0.try_send(packet)
    }
}

/// Why there can be no hosts, as far as that shows without trying.
pub(super) fn can_have_hosts() -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("hosts in network namespaces need root; run as root to have it".into());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err("this kernel has no TUN devices (/dev/net/tun)".into());
    }
    if super::namespace::ip_program().is_none() {
        return Err("there is no `ip` here; install iproute2 to have it".into());
    }
    Ok(())
}

/// The network namespace of this thread.
pub(super) fn net_of_this_thread() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Moves this thread, and no other, into a network namespace.
pub(super) fn enter(net: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))?)
}
