//! `Range` (RFC 9110 section 14): which of a file's bytes are asked for.

use http::HeaderValue;

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// From the first one; to the last one, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl Wanted {
    /// What a header asks for. `None`, which means the whole file, for what is no range of bytes and for
    /// several ranges at once: a server may leave those out of account.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (unit, range) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        match (first, last) {
            ("", count) => number(count).map(Wanted::Last),
            (first, "") => Some(Wanted::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Wanted::From(first, Some(last)))
            }
        }
    }

    /// The first byte and the last, of a file of so many; the first lies beyond the file if none of its
    /// bytes are asked for.
    pub(super) fn within(self, bytes: u64) -> (u64, Option<u64>) {
        match self {
            Wanted::From(first, last) => (first, last),
            Wanted::Last(0) => (bytes.max(1), None),
            Wanted::Last(count) => (bytes.saturating_sub(count), None),
        }
    }
}

/// Digits and nothing else; more than there are numbers is the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether a range is to be given at all: not where the file is another than the one that the tool has a
/// part of (`If-Range`).
pub(super) fn applies(if_range: Option<&HeaderValue>, etag: &str) -> bool {
    if_range.is_none_or(|known| known.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let of = |header: &str| Wanted::parse(header).map(|wanted| wanted.within(10));
        assert_eq!(of("bytes=2-5"), Some((2, Some(5))));
        assert_eq!(of("Bytes = 2-"), Some((2, None)));
        assert_eq!(of("bytes=-3"), Some((7, None)));
        assert_eq!(of("bytes=-30"), Some((0, None)));
        assert_eq!(of("bytes=-0"), Some((10, None)));
        assert_eq!(of("bytes=10-99999999999999999999"), Some((10, Some(u64::MAX))));
    }

    #[test]
    fn what_is_no_single_range_of_bytes_asks_for_all() {
        for all in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=0-1,4-5",
            "lines=1-2",
        ] {
            assert_eq!(Wanted::parse(all), None, "{all}");
        }
    }
}
