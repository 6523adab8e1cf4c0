//! Which URLs of strangers are taken in (SPEC section 10).
//!
//! A name is looked up, and its addresses checked, when it is connected to: this file knows only
//! what stands in the URL.

use super::Rules;
use crate::{Dialable, Trust};
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// Whether `url` is scheme, host and port only, and its host none that is never dialled.
pub(super) fn is_taken(url: &Url, rules: Rules) -> bool {
    let Rules::Dialled { allow_private, block_private } = rules else { return true };
    let bare = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
    let address = |ip: IpAddr| {
        let address = SocketAddr::new(ip, url.port_or_known_default().unwrap_or_default());
        Dialable::check(address, Trust::Stranger { allow_private }, block_private).is_ok()
    };
    let host = match url.host() {
        Some(Host::Ipv4(ip)) => address(ip.into()),
        Some(Host::Ipv6(ip)) => address(ip.into()),
        Some(Host::Domain(name)) => !means_loopback(name),
        None => false,
    };
    bare && host && url.query().is_none() && url.fragment().is_none()
}

/// `localhost` and what ends in it are loopback by definition (RFC 6761).
fn means_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(url: &str, allow_private: bool) -> bool {
        is_taken(&url.parse().unwrap(), Rules::Dialled { allow_private, block_private: false })
    }

    #[test]
    fn a_url_is_scheme_host_and_port_only() {
        for url in ["http://a.example", "https://a.example:17474/", "http://1.1.1.1:1", "http://[2606::1]:1"]
        {
            assert!(taken(url, false), "{url}");
        }
        for url in [
            "http://a.example/v1",
            "http://a.example/?x",
            "http://a.example/#x",
            "http://me@a.example",
            "http://:pw@a.example",
        ] {
            assert!(!taken(url, true), "{url}");
            assert!(is_taken(&url.parse().unwrap(), Rules::Listed), "{url}");
        }
    }

    #[test]
    fn loopback_is_never_taken_however_it_is_written() {
        for url in [
            "http://127.0.0.1:17474",
            "http://2130706433",
            "http://0x7f.1",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]:1",
            "http://localhost:1",
            "http://LOCALHOST.:1",
            "http://x.localhost",
            "http://169.254.169.254",
            "http://0.0.0.0",
        ] {
            assert!(!taken(url, true), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_taken_where_the_owner_allows_them() {
        for url in ["http://192.168.1.2:17474", "http://100.64.0.1", "http://[fd00::1]"] {
            assert!(taken(url, true), "{url}");
            assert!(!taken(url, false), "{url}");
        }
    }
}
