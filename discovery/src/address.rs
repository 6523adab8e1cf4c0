//! Which addresses may be connected to (SPEC section 10): a pure check of one resolved address.
//!
//! The caller resolves, checks each address, and connects to the very address that was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far a URL's origin is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The owner's own engine and upstreams: any address.
    Own,
    /// A peer that the owner listed: loopback and private addresses too.
    Friend,
    /// A peer learnt from others: public addresses only, unless the owner allows private ones.
    Stranger {
        /// `discovery.allow_private`
        allow_private: bool,
    },
}

/// A socket address that passed the check. Connect to this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialable(SocketAddr);

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind} and is never dialled for this peer")]
pub struct NotDialable {
    /// The address that was resolved.
    pub address: IpAddr,
    /// `a loopback address`, …
    pub kind: &'static str,
}

impl Dialable {
    /// Checks one resolved address. `block_private` is `LOBSTAH_BLOCK_PRIVATE_ADDRS=1`.
    pub fn check(address: SocketAddr, trust: Trust, block_private: bool) -> Result<Self, NotDialable> {
        let private_allowed = match trust {
            Trust::Own => return Ok(Self(address)),
            Trust::Friend => !block_private,
            Trust::Stranger { allow_private } => allow_private && !block_private,
        };
        let refuse = |kind| Err(NotDialable { address: address.ip(), kind });
        match Kind::of(address.ip()) {
            Kind::Public => Ok(Self(address)),
            Kind::Loopback if trust == Trust::Friend => Ok(Self(address)),
            Kind::Private if private_allowed => Ok(Self(address)),
            Kind::Loopback => refuse("a loopback address"),
            Kind::Private => refuse("a private address"),
            Kind::Never(kind) => refuse(kind),
        }
    }

    /// The address, for the connector.
    pub const fn socket_addr(self) -> SocketAddr {
        self.0
    }
}

enum Kind {
    Public,
    Loopback,
    Private,
    Never(&'static str),
}

impl Kind {
    fn of(address: IpAddr) -> Kind {
        match address {
            IpAddr::V4(v4) => Kind::of_v4(v4),
            IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| Kind::of_v6(v6), Kind::of_v4),
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Kind {
        let [a, b, ..] = v4.octets();
        match () {
            () if a == 0 => Kind::Never("an unspecified address"),
            () if v4.is_loopback() => Kind::Loopback,
            () if v4.is_link_local() => Kind::Never("a link-local address"),
            () if v4.is_multicast() => Kind::Never("a multicast address"),
            () if a >= 240 => Kind::Never("a reserved address"),
            // RFC 1918, and RFC 6598 (CGNAT: 100.64.0.0/10)
            () if v4.is_private() || (a == 100 && b & 0xc0 == 64) => Kind::Private,
            () => Kind::Public,
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Kind {
        match () {
            () if v6.is_unspecified() => Kind::Never("an unspecified address"),
            () if v6.is_loopback() => Kind::Loopback,
            () if v6.is_unicast_link_local() => Kind::Never("a link-local address"),
            () if v6.is_multicast() => Kind::Never("a multicast address"),
            // Unique local (RFC 4193) and the old site-local range.
            () if v6.is_unique_local() || v6.segments()[0] & 0xffc0 == 0xfec0 => Kind::Private,
            () => Kind::Public,
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052), 6to4.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => from(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => from(high, low),
        [0x64, 0xff9b, 1, _, _, _, high, low] => from(high, low),
        [0x2002, high, low, ..] => from(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Trust = Trust::Stranger { allow_private: false };
    const STRANGER_NEARBY: Trust = Trust::Stranger { allow_private: true };

    fn allowed(address: &str, trust: Trust, block_private: bool) -> bool {
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        Dialable::check(address, trust, block_private).is_ok()
    }

    #[test]
    fn nobody_is_dialled_at_addresses_that_mean_this_network_itself() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
        ] {
            for trust in [Trust::Friend, STRANGER, STRANGER_NEARBY] {
                assert!(!allowed(address, trust, false), "{address} {trust:?}");
            }
        }
    }

    #[test]
    fn only_friends_are_dialled_on_loopback() {
        for address in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(allowed(address, Trust::Friend, false), "{address}");
            assert!(!allowed(address, STRANGER, false), "{address}");
            assert!(!allowed(address, STRANGER_NEARBY, false), "{address}");
        }
    }

    #[test]
    fn private_ranges_are_for_friends_and_whoever_the_owner_allows() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
        ] {
            assert!(allowed(address, Trust::Friend, false), "{address}");
            assert!(allowed(address, STRANGER_NEARBY, false), "{address}");
            assert!(!allowed(address, STRANGER, false), "{address}");
            assert!(!allowed(address, Trust::Friend, true), "{address}");
            assert!(!allowed(address, STRANGER_NEARBY, true), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_dialled_and_the_owners_engine_may_be_anywhere() {
        for address in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(allowed(address, STRANGER, true), "{address}");
        }
        assert!(allowed("169.254.1.1", Trust::Own, true));
    }
}
