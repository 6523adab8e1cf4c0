//! The way between the hosts as a value: which packet goes where, when, and which is lost. No sockets and
//! no clock: `now` is a parameter.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// So many packets are on their way from one host to another; what comes on top is dropped, as a router
/// does with a full queue.
const QUEUE_PACKETS_MAX: usize = 1000;

/// The loss has the same pattern in every run, as far as the packets come in the same order.
const SEED: u64 = 0x10b5_7a11;

/// Two ends of a way: from, to.
type Way = (Ipv4Addr, Ipv4Addr);

/// The quality of the way between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Half of it each way.
    pub round_trip: Duration,
    /// The share of packets that do not arrive, from 0 to 1, in either direction.
    pub loss: f64,
}

/// Packets from one host to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// That the one sent.
    pub sent: u64,
    /// Of these, lost on the way: by the link, by a cut or in a full queue.
    pub lost: u64,
    /// That the other got.
    pub arrived: u64,
}

/// A packet that has reached its host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) to: Ipv4Addr,
    pub(super) packet: Vec<u8>,
}

#[derive(Debug)]
struct Underway {
    due: Instant,
    packet: Vec<u8>,
}

/// All hosts and the ways between them.
#[derive(Debug)]
pub(super) struct Network {
    hosts: BTreeSet<Ipv4Addr>,
    cut: BTreeSet<Ipv4Addr>,
    links: BTreeMap<Way, Link>,
    queues: BTreeMap<Way, VecDeque<Underway>>,
    traffic: BTreeMap<Way, Traffic>,
    random: Random,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            hosts: BTreeSet::new(),
            cut: BTreeSet::new(),
            links: BTreeMap::new(),
            queues: BTreeMap::new(),
            traffic: BTreeMap::new(),
            random: Random(SEED),
        }
    }

    pub(super) fn join(&mut self, host: Ipv4Addr) {
        self.hosts.insert(host);
    }

    pub(super) fn link(&mut self, one: Ipv4Addr, other: Ipv4Addr, link: Link) {
        assert!((0.0..=1.0).contains(&link.loss), "a loss of {}", link.loss);
        self.links.insert((one, other), link);
        self.links.insert((other, one), link);
    }

    pub(super) fn cut(&mut self, host: Ipv4Addr) {
        self.cut.insert(host);
        for ((from, to), queue) in &mut self.queues {
            if *from == host || *to == host {
                self.traffic.entry((*from, *to)).or_default().lost += queue.len() as u64;
                queue.clear();
            }
        }
    }

    pub(super) fn mend(&mut self, host: Ipv4Addr) {
        self.cut.remove(&host);
    }

    pub(super) fn traffic(&self, from: Ipv4Addr, to: Ipv4Addr) -> Traffic {
        self.traffic.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Takes what a host sends. What is no IPv4 packet between two hosts is dropped without a word.
    pub(super) fn accept(&mut self, from: Ipv4Addr, packet: &[u8], now: Instant) {
        let Some(to) = destination(packet).filter(|to| self.hosts.contains(to)) else { return };
        let way = (from, to);
        let link = self.links.get(&way).copied().unwrap_or_default();
        let traffic = self.traffic.entry(way).or_default();
        traffic.sent += 1;
        let queue = self.queues.entry(way).or_default();
        let is_lost = self.random.share() < link.loss;
        if is_lost || self.cut.contains(&from) || self.cut.contains(&to) || queue.len() >= QUEUE_PACKETS_MAX {
            traffic.lost += 1;
            return;
        }
        // Where the way became shorter, nobody overtakes all the same.
        let last = queue.back().map_or(now, |last| last.due);
        let due = last.max(now + link.round_trip / 2);
        queue.push_back(Underway { due, packet: packet.to_vec() });
    }

    /// What has arrived by now, in the order of each way.
    pub(super) fn arrivals(&mut self, now: Instant) -> Vec<Arrival> {
        let mut arrived = Vec::new();
        for (way, queue) in &mut self.queues {
            let count = queue.iter().take_while(|next| next.due <= now).count();
            for next in queue.drain(..count) {
                self.traffic.entry(*way).or_default().arrived += 1;
                arrived.push(Arrival { to: way.1, packet: next.packet });
            }
        }
        arrived
    }

    /// When the next packet arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.queues.values().filter_map(|queue| Some(queue.front()?.due)).min()
    }
}

/// The header of IPv4 (RFC 791): the version in the first four bits, the destination in bytes 16 to 19.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| destination.into())
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// From 0 up to, but not, 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
    const MS: Duration = Duration::from_millis(1);

    fn network(round_trip: Duration, loss: f64) -> Network {
        let mut network = Network::new();
        network.join(A);
        network.join(B);
        network.link(A, B, Link { round_trip, loss });
        network
    }

    fn packet(to: Ipv4Addr, number: u8) -> Vec<u8> {
        let mut packet = vec![0; 21];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&to.octets());
        packet[20] = number;
        packet
    }

    fn numbers(arrivals: &[Arrival]) -> Vec<u8> {
        arrivals.iter().map(|arrival| arrival.packet[20]).collect()
    }

    #[test]
    fn a_packet_takes_half_a_round_trip() {
        let (mut network, start) = (network(200 * MS, 0.0), Instant::now());
        network.accept(A, &packet(B, 1), start);
        assert_eq!(network.next_arrival(), Some(start + 100 * MS));
        assert_eq!(network.arrivals(start + 99 * MS), []);
        assert_eq!(network.arrivals(start + 100 * MS), [Arrival { to: B, packet: packet(B, 1) }]);
        assert_eq!(network.next_arrival(), None);
        assert_eq!(network.traffic(A, B), Traffic { sent: 1, lost: 0, arrived: 1 });
    }

    #[test]
    fn nobody_overtakes_where_the_way_becomes_shorter() {
        let (mut network, start) = (network(200 * MS, 0.0), Instant::now());
        network.accept(A, &packet(B, 1), start);
        network.link(A, B, Link::default());
        network.accept(A, &packet(B, 2), start + MS);
        assert_eq!(network.arrivals(start + 50 * MS), []);
        assert_eq!(numbers(&network.arrivals(start + 100 * MS)), [1, 2]);
    }

    #[test]
    fn about_the_set_share_is_lost() {
        let (mut network, start) = (network(Duration::ZERO, 0.1), Instant::now());
        for _ in 0..10_000 {
            network.accept(A, &packet(B, 1), start);
            network.arrivals(start);
        }
        let traffic = network.traffic(A, B);
        assert!((900..1100).contains(&traffic.lost), "{traffic:?}");
        assert_eq!(traffic.lost + traffic.arrived, traffic.sent);
    }

    #[test]
    fn a_cut_host_gets_and_sends_nothing_until_it_is_mended() {
        let (mut network, start) = (network(200 * MS, 0.0), Instant::now());
        network.accept(A, &packet(B, 1), start);
        network.cut(B);
        network.accept(A, &packet(B, 2), start);
        network.accept(B, &packet(A, 3), start);
        network.mend(B);
        network.accept(A, &packet(B, 4), start);
        assert_eq!(numbers(&network.arrivals(start + 100 * MS)), [4]);
        assert_eq!(network.traffic(A, B), Traffic { sent: 3, lost: 2, arrived: 1 });
    }

    #[test]
    fn a_full_queue_drops_what_comes_on_top() {
        let (mut network, start) = (network(200 * MS, 0.0), Instant::now());
        for _ in 0..QUEUE_PACKETS_MAX + 5 {
            network.accept(A, &packet(B, 1), start);
        }
        assert_eq!(network.traffic(A, B).lost, 5);
        assert_eq!(network.arrivals(start + 100 * MS).len(), QUEUE_PACKETS_MAX);
    }

    #[test]
    fn what_is_for_nobody_here_is_dropped() {
        let (mut network, start) = (network(Duration::ZERO, 0.0), Instant::now());
        network.accept(A, &packet(Ipv4Addr::new(203, 0, 113, 9), 1), start);
        network.accept(A, &[0x45, 0, 0], start);
        network.accept(A, &[0x60; 40], start);
        network.accept(A, &[], start);
        assert_eq!(network.next_arrival(), None);
    }
}
