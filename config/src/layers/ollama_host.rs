//! `OLLAMA_HOST` as Ollama reads it (its `envconfig.Host`), and as an address to connect to.

use std::net::IpAddr;

const PORT: &str = "11434";

/// The URL that the variable's value means.
///
/// Ollama's rules: the scheme may be missing and then is http on Ollama's port; written out, http and
/// https have their own ports; a port that is no number counts as missing. Ours: the value may be
/// meant for the server, which listens on `0.0.0.0`, where nobody can connect to: that is this machine.
pub(super) fn url(value: &str) -> String {
    let value = value.trim().trim_matches(['"', '\'']);
    let (scheme, rest, default_port) = match value.split_once("://") {
        Some((scheme @ "http", rest)) => (scheme, rest, "80"),
        Some((scheme @ "https", rest)) => (scheme, rest, "443"),
        Some((scheme, rest)) => (scheme, rest, PORT),
        None if value == "ollama.com" => ("https", value, "443"),
        None => ("http", value, PORT),
    };
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = host_and_port(address);
    let port = port.filter(|port| port.parse::<u16>().is_ok()).unwrap_or(default_port);
    format!("{scheme}://{}:{port}/{path}", connectable(host))
}

fn host_and_port(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        // A bare IPv6 address is colons all through, none of which begins a port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    }
}

fn connectable(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "[::1]".to_owned(),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Err(_) if bare.is_empty() => "127.0.0.1".to_owned(),
        Err(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_means_what_it_means_to_ollama() {
        for (value, meant) in [
            ("", "http://127.0.0.1:11434/"),
            ("example.com", "http://example.com:11434/"),
            ("example.com:56789", "http://example.com:56789/"),
            ("http://example.com", "http://example.com:80/"),
            ("https://example.com", "https://example.com:443/"),
            ("https://example.com:8443/ollama", "https://example.com:8443/ollama"),
            ("example.com:56789/", "http://example.com:56789/"),
            ("example.com:", "http://example.com:11434/"),
            ("example.com:66000", "http://example.com:11434/"),
            (":8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0", "http://127.0.0.1:11434/"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("http://0.0.0.0", "http://127.0.0.1:80/"),
            ("::", "http://[::1]:11434/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("::1", "http://[::1]:11434/"),
            ("[2001:db8::1]", "http://[2001:db8::1]:11434/"),
            ("  \"10.0.0.2:1\" ", "http://10.0.0.2:1/"),
            ("ollama.com", "https://ollama.com:443/"),
        ] {
            assert_eq!(url(value), meant, "{value:?}");
        }
    }
}
