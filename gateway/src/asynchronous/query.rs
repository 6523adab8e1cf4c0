//! What follows the question mark in lists and in waiting.

use crate::{downstream::Downstream, failure::Failure};
use std::{collections::HashMap, ops::RangeInclusive};

/// The parameters of a request. Those that we do not know are let be; of two with one name the last counts.
#[derive(Clone, Debug, Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    /// Of this request.
    pub fn of(down: &Downstream) -> Self {
        Self::parse(down.session.req_header().uri.query().unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A parameter's text; nothing where it is empty, as some tools send what they leave out.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A whole number within `bounds`.
    pub fn number(&self, name: &str, bounds: RangeInclusive<u32>) -> Result<Option<u32>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let message = || format!("`{name}` is a number from {} to {}", bounds.start(), bounds.end());
        number.map(Some).ok_or_else(|| Failure::invalid_value(name, message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_within_their_bounds() {
        let query = Query::parse("limit=20&after=&order=a%20b&limit=7");
        assert_eq!(query.number("limit", 1..=10), Ok(Some(7)));
        assert!(query.number("limit", 1..=6).is_err());
        assert!(query.number("order", 1..=6).is_err());
        assert_eq!((query.text("after"), query.text("order"), query.text("x")), (None, Some("a b"), None));
        assert_eq!(query.number("x", 1..=6), Ok(None));
    }
}
