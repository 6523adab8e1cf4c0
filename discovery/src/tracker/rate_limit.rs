//! How much of one visitor a tracker takes. Pure, and bounded however many addresses there are.

use crate::relays::bucket::{Bucket, Rate};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use tokio::time::Instant;

/// Sources told apart. Beyond them all newcomers share one allowance, until some were quiet.
pub const SOURCES_MAX: usize = 10_000;

/// The list is walked for quiet ones so often at the most.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Come back after this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", .0.as_secs() + 1)]
pub struct RetryAfter(pub Duration);

/// An allowance of requests for each source: an IPv4 address, or an IPv6 network of 64 bits, which is
/// what one household or server gets.
#[derive(Debug)]
pub struct RateLimit {
    rate: Rate,
    sources: HashMap<Source, Bucket>,
    newcomers: Bucket,
    swept_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Source::V4(v4),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| Source::network(v6), Source::V4),
        }
    }

    fn network(v6: Ipv6Addr) -> Self {
        let [a, b, c, d, ..] = v6.segments();
        Source::V6([a, b, c, d])
    }
}

impl RateLimit {
    /// `per_minute` requests on average, and `burst` at once after a pause.
    pub fn new(per_minute: u32, burst: u32, now: Instant) -> Self {
        Self {
            rate: Rate::new(per_minute, Duration::from_secs(60), burst),
            sources: HashMap::new(),
            newcomers: Bucket::full(now),
            swept_at: now,
        }
    }

    /// Counts one request from `address`, or says when there is room for it.
    pub fn admit(&mut self, address: IpAddr, now: Instant) -> Result<(), RetryAfter> {
        let source = Source::of(address);
        let known = self.sources.contains_key(&source) || self.has_room(now);
        let bucket = if known {
            self.sources.entry(source).or_insert_with(|| Bucket::full(now))
        } else {
            &mut self.newcomers
        };
        if bucket.take(&self.rate, now) { Ok(()) } else { Err(RetryAfter(bucket.wait(&self.rate, now))) }
    }

    /// Whoever has its whole allowance again is a newcomer again: nothing is lost by forgetting it.
    fn has_room(&mut self, now: Instant) -> bool {
        let full = |sources: &HashMap<_, _>| sources.len() >= SOURCES_MAX;
        if full(&self.sources) && now.duration_since(self.swept_at) >= SWEEP_EVERY {
            self.sources.retain(|_, bucket| !bucket.is_full(now));
            self.swept_at = now;
        }
        !full(&self.sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(now: Instant) -> RateLimit {
        RateLimit::new(60, 3, now)
    }

    fn admitted(limit: &mut RateLimit, address: &str, now: Instant, tries: usize) -> usize {
        let address = address.parse().unwrap();
        (0..tries).filter(|_| limit.admit(address, now).is_ok()).count()
    }

    #[test]
    fn each_source_has_its_own_allowance() {
        let now = Instant::now();
        let mut limit = limit(now);
        assert_eq!(admitted(&mut limit, "192.0.2.1", now, 10), 3);
        assert_eq!(limit.admit("192.0.2.1".parse().unwrap(), now), Err(RetryAfter(Duration::from_secs(1))));
        assert_eq!(admitted(&mut limit, "192.0.2.2", now, 10), 3);
        assert_eq!(admitted(&mut limit, "192.0.2.1", now + Duration::from_secs(2), 10), 2);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_mapped_address_is_its_ipv4() {
        let now = Instant::now();
        let mut limit = limit(now);
        assert_eq!(admitted(&mut limit, "2001:db8:0:1::1", now, 10), 3);
        assert_eq!(admitted(&mut limit, "2001:db8:0:1:ffff::2", now, 10), 0);
        assert_eq!(admitted(&mut limit, "2001:db8:0:2::1", now, 10), 3);
        assert_eq!(admitted(&mut limit, "::ffff:192.0.2.1", now, 2), 2);
        assert_eq!(admitted(&mut limit, "192.0.2.1", now, 10), 1);
    }

    #[test]
    fn any_number_of_addresses_costs_bounded_memory_and_the_known_nothing() {
        let now = Instant::now();
        let mut limit = limit(now);
        assert_eq!(admitted(&mut limit, "192.0.2.1", now, 1), 1);
        let flood = |limit: &mut RateLimit, now| {
            let all = (0..SOURCES_MAX as u32 * 2).map(|nth| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + nth)));
            all.filter(|address| limit.admit(*address, now).is_ok()).count()
        };
        let got = flood(&mut limit, now);
        assert_eq!(limit.sources.len(), SOURCES_MAX);
        assert_eq!(got, SOURCES_MAX - 1 + 3);
        assert_eq!(admitted(&mut limit, "192.0.2.1", now, 10), 2);
        let later = now + Duration::from_secs(30);
        assert_eq!(admitted(&mut limit, "198.51.100.1", later, 10), 3);
        assert!(limit.sources.len() < SOURCES_MAX);
    }
}
