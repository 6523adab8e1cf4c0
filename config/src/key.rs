//! The written form of a key's path: `routes[0].to[1]`, `credit.prices."llama3.1:70b".input`.

pub(crate) fn child(parent: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

pub(crate) fn element(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// The key that contains this one; `None` at the top.
///
/// A name in quotes may hold dots: then this gives prefixes that are no key, and the real parents after them.
pub(crate) fn parent(key: &str) -> Option<&str> {
    key.rfind(['.', '[']).map(|end| &key[..end])
}

/// The key and all that contain it, innermost first.
pub(crate) fn upwards(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| parent(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_in_toml_and_climbs_to_its_section() {
        let price = child(&child("credit", "prices"), "llama3.1:70b");
        assert_eq!(price, "credit.prices.\"llama3.1:70b\"");
        assert!(upwards(&price).any(|key| key == "credit.prices"));
        assert_eq!(
            upwards("routes[0].to[1]").collect::<Vec<_>>(),
            ["routes[0].to[1]", "routes[0].to", "routes[0]", "routes"]
        );
    }
}
