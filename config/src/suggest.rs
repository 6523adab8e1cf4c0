//! What a mistyped name was meant to be.

use crate::{
    Problem,
    node::{Content, Node},
    schema::{self, Known, Shape},
};
use std::collections::BTreeMap;

/// The problem of a key that a section does not have.
pub(crate) fn unknown_key(
    section: &str,
    siblings: &BTreeMap<String, Known>,
    name: &str,
    node: &Node,
) -> Problem {
    let homes = homes_of(name);
    let hint = if homes.is_empty() {
        nearest(name, siblings.keys().map(String::as_str)).map(|right| {
            let right = crate::key::child(section, right);
            format!("did you mean {}?", node.named_at.spelling_of(&right))
        })
    } else {
        Some(format!("{name} is a key of {}", homes.join(", ")))
    };
    let is_section = section.is_empty() && !matches!(node.content, Content::Scalar(_));
    let message = if is_section { "unknown section" } else { "unknown key" };
    Problem { source: node.named_at.clone(), key: node.key.clone(), message: message.to_owned(), hint }
}

/// The sections that have a key of exactly this name.
fn homes_of(name: &str) -> Vec<String> {
    let sections = schema::known().keys().into_iter().flatten();
    let homes = sections.filter(|(_, known)| known.keys().is_some_and(|keys| keys.contains_key(name)));
    homes.map(|(home, known)| header(home, known)).collect()
}

fn header(section: &str, known: &Known) -> String {
    match known.shape {
        Shape::List(_) => format!("[[{section}]]"),
        _ => format!("[{section}]"),
    }
}

/// The candidate that is few enough slips of the finger away: one in three characters, at least one.
pub(crate) fn nearest<'c>(typed: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let typed = typed.to_lowercase().replace('-', "_");
    let slips_max = (typed.chars().count() / 3).max(1);
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&typed, &candidate.replace('-', "_"));
    candidates
        .map(|candidate| (distance(&candidate), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_mended_and_a_guess_is_not_made() {
        let keys = ["listen", "api_keys", "max_body", "max_wait"];
        let near = |typed| nearest(typed, keys.into_iter());
        assert_eq!(near("listn"), Some("listen"));
        assert_eq!(near("API-key"), Some("api_keys"));
        assert_eq!(near("max_wiat"), Some("max_wait"));
        assert_eq!(near("port"), None);
    }
}
