//! Which addresses are worth announcing: those that others can reach, and would.

use crate::{Dialable, Trust};
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// Who is meant to reach the announced URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anybody.
    Internet,
    /// Those on the owner's networks too (`discovery.allow_private`).
    PrivateNetworks,
    /// Nodes on this machine: a grid inside one process, as in the demo. Not a setting.
    ThisMachine,
}

/// Why an address is not announced, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnnounceable {
    /// Something besides scheme, host and port, or another scheme.
    #[error("{0} is more than http or https, a host and a port; set discovery.announce_url to just these")]
    NotBare(Url),
    /// Others end up on their own machine, or nowhere.
    #[error("nobody else reaches {url} ({kind}); set discovery.announce_url to an address that others reach")]
    Nowhere {
        /// What was to be announced.
        url: Url,
        /// Why not.
        kind: &'static str,
    },
    /// Only those nearby reach it.
    #[error(
        "only your own network reaches {0}; set discovery.announce_url to a public address, or \
         discovery.allow_private where all nodes share that network"
    )]
    Private(Url),
    /// More than others read of an announcement.
    #[error("the announcement is too long for relays, even without speeds; offer fewer models")]
    TooLong,
    /// A label or a model that others would refuse.
    #[error("others would refuse the announcement: {0}")]
    Malformed(String),
}

/// Whether others may be told of `url`. A name is not looked up: what it means here need not be what
/// it means elsewhere.
pub fn announceable(url: &Url, reach: Reach) -> Result<(), NotAnnounceable> {
    let bare = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare || !matches!(url.scheme(), "http" | "https") {
        return Err(NotAnnounceable::NotBare(url.clone()));
    }
    match url.host() {
        _ if reach == Reach::ThisMachine => Ok(()),
        Some(Host::Ipv4(ip)) => address(url, ip.into(), reach),
        Some(Host::Ipv6(ip)) => address(url, ip.into(), reach),
        Some(Host::Domain(name)) => domain(url, name, reach),
        None => Err(NotAnnounceable::NotBare(url.clone())),
    }
}

/// Strangers' own rule decides: what they would not dial is not announced.
fn address(url: &Url, ip: IpAddr, reach: Reach) -> Result<(), NotAnnounceable> {
    let dialled =
        |allow_private| Dialable::check(SocketAddr::new(ip, 0), Trust::Stranger { allow_private }, false);
    match (dialled(false), dialled(true)) {
        (Ok(_), _) => Ok(()),
        (Err(_), Ok(_)) if reach == Reach::PrivateNetworks => Ok(()),
        (Err(_), Ok(_)) => Err(NotAnnounceable::Private(url.clone())),
        (_, Err(why)) => Err(NotAnnounceable::Nowhere { url: url.clone(), kind: why.kind }),
    }
}

fn domain(url: &Url, name: &str, reach: Reach) -> Result<(), NotAnnounceable> {
    let name = name.trim_end_matches('.');
    // RFC 6761, 6762, 8375, and the one that ICANN set aside for private use. A name without a dot
    // is completed by the network's own search list.
    let near = ["local", "internal", "home.arpa"];
    let is_or_ends_in =
        |last: &str| name.strip_suffix(last).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_or_ends_in("localhost") {
        return Err(NotAnnounceable::Nowhere { url: url.clone(), kind: "a loopback address" });
    }
    let private = !name.contains('.') || near.into_iter().any(is_or_ends_in);
    if private && reach == Reach::Internet { Err(NotAnnounceable::Private(url.clone())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(url: &str, reach: Reach) -> Result<(), NotAnnounceable> {
        announceable(&url.parse().unwrap(), reach)
    }

    #[test]
    fn what_others_reach_is_announced() {
        for url in
            ["https://mini.example.net", "http://1.1.1.1:17474", "http://[2606::1]:17474/", "http://a.b.:1"]
        {
            assert_eq!(judged(url, Reach::Internet), Ok(()), "{url}");
        }
    }

    #[test]
    fn loopback_and_its_kin_are_announced_inside_one_machine_only() {
        for url in [
            "http://127.0.0.1:17474",
            "http://localhost:17474",
            "http://LOCALHOST.:1",
            "http://my.localhost",
            "http://[::1]:1",
            "http://0.0.0.0:17474",
            "http://[::]:1",
            "http://169.254.10.1:1",
            "http://[fe80::1]:1",
            "http://[::ffff:127.0.0.1]:1",
            "http://2130706433:1",
        ] {
            for reach in [Reach::Internet, Reach::PrivateNetworks] {
                let refused = judged(url, reach).unwrap_err();
                assert!(matches!(refused, NotAnnounceable::Nowhere { .. }), "{url} {refused}");
                assert!(refused.to_string().contains("set discovery.announce_url"), "{refused}");
            }
            assert_eq!(judged(url, Reach::ThisMachine), Ok(()), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_for_those_who_share_them() {
        for url in [
            "http://192.168.1.5:17474",
            "http://10.0.0.1",
            "http://100.64.0.1",
            "http://[fd00::1]:1",
            "http://mini.local:1",
            "http://mini:17474",
            "http://nas.home.arpa",
        ] {
            let refused = judged(url, Reach::Internet).unwrap_err();
            assert!(refused.to_string().contains("discovery.allow_private"), "{refused}");
            assert_eq!(judged(url, Reach::PrivateNetworks), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_url_with_more_than_strangers_take_is_refused_before_they_do() {
        for url in [
            "http://a.example/v1",
            "ftp://a.example",
            "http://me@a.example",
            "http://a.example/?x",
            "http://a.example#x",
        ] {
            assert!(matches!(judged(url, Reach::ThisMachine), Err(NotAnnounceable::NotBare(_))), "{url}");
        }
    }
}
