//! The router between the hosts: reads what each sends from its TUN device, lets [`Network`] decide, and
//! writes to the other's device when it is time.

use super::{
    namespace::Namespace,
    network::{Arrival, Network},
    system::Device,
};
use std::{
    collections::BTreeMap,
    fmt,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::{runtime::Runtime, sync::Notify, time::sleep_until};

/// A TUN device's MTU is 1500, and without offloading no packet is larger.
const PACKET_BYTES_MAX: usize = 2048;

/// Stops when dropped. It has a thread of its own, so that a story that computes delays no packet.
pub(super) struct Forwarder {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    office: Arc<Office>,
}

/// What readers and the deliverer share.
struct Office {
    network: Mutex<Network>,
    devices: Mutex<BTreeMap<Ipv4Addr, Arc<Device>>>,
    /// The next arrival may be another one.
    news: Notify,
}

impl Forwarder {
    pub(super) fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("forwarder").enable_all().build().unwrap();
        let (network, devices) = (Mutex::new(Network::new()), Mutex::default());
        let office = Arc::new(Office { network, devices, news: Notify::new() });
        runtime.spawn(deliver(Arc::clone(&office)));
        Self { runtime: Some(runtime), office }
    }

    /// Puts a device into a namespace, and forwards what comes from it.
    pub(super) fn join(&self, namespace: &Namespace, host: Ipv4Addr) -> Result<(), String> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _in_runtime = runtime.enter();
        let device = namespace.inside(Device::open).map_err(|error| format!("no TUN device: {error}"))?;
        let device = Arc::new(device);
        self.network(|network| network.join(host));
        self.office.devices.lock().unwrap_or_else(PoisonError::into_inner).insert(host, Arc::clone(&device));
        runtime.spawn(read(Arc::clone(&self.office), host, device));
        Ok(())
    }

    /// Asks or changes the network.
    pub(super) fn network<T>(&self, work: impl FnOnce(&mut Network) -> T) -> T {
        self.office.network(work)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Stories drop it on a thread of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network(|network| network.fmt(f))
    }
}

impl Office {
    fn network<T>(&self, work: impl FnOnce(&mut Network) -> T) -> T {
        work(&mut self.network.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hand_over(&self, Arrival { to, packet }: &Arrival) {
        let devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.get(to) {
            // What a device does not take is lost, as at any host that cannot keep up.
            let _ = device.give(packet);
        }
    }
}

/// Reads what a host sends, until its device is gone.
async fn read(office: Arc<Office>, host: Ipv4Addr, device: Arc<Device>) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    while let Ok(length) = device.take(&mut buffer).await {
        office.network(|network| network.accept(host, &buffer[..length], Instant::now()));
        office.news.notify_one();
    }
}

/// Hands over each packet when it arrives.
async fn deliver(office: Arc<Office>) {
    loop {
        let (arrived, next) =
            office.network(|network| (network.arrivals(Instant::now()), network.next_arrival()));
        arrived.iter().for_each(|arrival| office.hand_over(arrival));
        match next {
            None => office.news.notified().await,
            Some(next) => tokio::select! {
                () = sleep_until(next.into()) => (),
                () = office.news.notified() => (),
            },
        }
    }
}
