//! URLs, listening addresses, Host names and origins as they are typed.

use crate::resolve::Refusal;
use std::net::SocketAddr;
use url::Url;

/// `127.0.0.1:17475`, `[::]:17475` or `localhost:17475`.
pub(crate) fn address(text: String) -> Result<SocketAddr, Refusal> {
    // No name is looked up here: `localhost` is the one that everybody types.
    let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
    numeric.trim().parse().map_err(|_| {
        Refusal::new(format!("`{text}` is no address with a port")).hint("write it as 127.0.0.1:17475")
    })
}

/// An http or https URL.
pub(crate) fn http_url(text: String) -> Result<Url, Refusal> {
    url_of(&text, &["http", "https"])
}

/// A ws or wss URL.
pub(crate) fn relay_url(text: String) -> Result<Url, Refusal> {
    url_of(&text, &["ws", "wss"])
}

/// An http or https URL of scheme, host and port alone: of others' URLs, nodes take no more.
pub(crate) fn bare_url(text: String) -> Result<Url, Refusal> {
    let url = http_url(text)?;
    if url.path() != "/" {
        return Err(Refusal::new("the URL has a path; other nodes take scheme, host and port only"));
    }
    Ok(url)
}

/// The texts are never shown whole: a URL may carry a password, which is the first thing refused.
fn url_of(text: &str, schemes: &[&str]) -> Result<Url, Refusal> {
    let expected = schemes.join(" or ");
    let example = format!("write it as {}://host:port", schemes[0]);
    let url = Url::parse(text.trim()).map_err(|error| {
        Refusal::new(format!("this is no {expected} URL ({error})")).hint(example.clone())
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new("a URL here carries no user name or password"));
    }
    if !schemes.contains(&url.scheme()) || !url.has_host() {
        return Err(
            Refusal::new(format!("the URL begins with `{}:`, not {expected}", url.scheme())).hint(example)
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::new("a URL here has no `?` or `#`"));
    }
    Ok(url)
}

/// A Host name without its port, in lower case.
pub(crate) fn host_name(text: String) -> Result<String, Refusal> {
    let name = text.trim().to_ascii_lowercase();
    let is_bracketed = name.starts_with('[') && name.ends_with(']');
    let has_port = name.contains(':') && !is_bracketed;
    if name.contains('*') {
        return Err(
            Refusal::new(format!("`{text}` is no Host name")).hint("names are compared whole; write each")
        );
    }
    if name.is_empty() || has_port || name.contains(['/', ' ', '@']) {
        return Err(Refusal::new(format!("`{text}` is no Host name"))
            .hint("write the name alone, without scheme and port"));
    }
    Ok(name)
}

/// `scheme://host[:port]` as browsers send it. Any scheme: desktop tools have `tauri://localhost`.
pub(crate) fn origin(text: String) -> Result<String, Refusal> {
    let refusal = || {
        Refusal::new(format!("`{}` is no origin", text.split('@').next_back().unwrap_or_default()))
            .hint("write it as http://localhost:3000, without a path")
    };
    let url = Url::parse(text.trim()).map_err(|_| refusal())?;
    let host = url.host_str().filter(|host| !host.is_empty() && !host.contains('*')).ok_or_else(refusal)?;
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if has_more || !url.username().is_empty() || url.password().is_some() {
        return Err(refusal());
    }
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{}://{}{port}", url.scheme(), host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_a_browser_sends_it() {
        let origin = |text: &str| origin(text.into()).ok();
        assert_eq!(origin("HTTP://LocalHost:3000/").as_deref(), Some("http://localhost:3000"));
        assert_eq!(origin("https://app.example:443").as_deref(), Some("https://app.example"));
        assert_eq!(origin("tauri://localhost").as_deref(), Some("tauri://localhost"));
        for wrong in
            ["*", "null", "localhost:3000", "http://a/b", "http://a?b", "http://u:p@a", "https://*.a", ""]
        {
            assert_eq!(origin(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn addresses_need_a_port_and_names_need_none() {
        assert_eq!(address("localhost:0".into()).unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(address("[::]:17475".into()).unwrap().to_string(), "[::]:17475");
        assert!(address("0.0.0.0".into()).is_err() && address("example.com:1".into()).is_err());
        assert_eq!(host_name("Mini.local".into()).ok().as_deref(), Some("mini.local"));
        assert_eq!(host_name("[::1]".into()).ok().as_deref(), Some("[::1]"));
        for wrong in ["mini.local:80", "http://mini", "*", "", "::1"] {
            assert!(host_name(wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_url_has_the_scheme_of_its_purpose_and_no_password() {
        assert!(http_url("http://mini.local:17474".into()).is_ok());
        assert!(bare_url("https://a.example/lobstah".into()).is_err());
        assert!(relay_url("wss://nos.lol".into()).is_ok() && relay_url("https://nos.lol".into()).is_err());
        assert!(http_url("localhost:11434".into()).is_err() && http_url("ftp://a".into()).is_err());
        let refusal = http_url("http://ann:hunter2@a".into()).unwrap_err();
        assert!(!format!("{refusal:?}").contains("hunter2"));
    }
}
