//! Spans of time as they are typed: `500ms`, `30s`, `2m`, `24h`, `7d`.

use std::time::Duration;

/// A longer span is refused: a point in time that far ahead may not be representable.
pub const SPAN_MAX: Duration = Duration::from_secs(366 * DAY);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Why a text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASpan {
    /// It does not begin with a whole number.
    #[error("a span of time begins with a whole number")]
    NoNumber,
    /// A number alone: seconds or milliseconds is anyone's guess.
    #[error("a span of time needs a unit")]
    NoUnit,
    /// What follows the number is no unit that we know.
    #[error("`{0}` is no unit of time")]
    UnknownUnit(String),
    /// Longer than [`SPAN_MAX`].
    #[error("a span of time is at most a year")]
    TooLong,
}

/// Reads a span of time: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
pub fn parse_span(text: &str) -> Result<Duration, NotASpan> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() {
        return Err(NotASpan::NoNumber);
    }
    let unit_ms = milliseconds_in(unit)?;
    let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    ms.map(Duration::from_millis).filter(|span| *span <= SPAN_MAX).ok_or(NotASpan::TooLong)
}

fn milliseconds_in(unit: &str) -> Result<u64, NotASpan> {
    match unit {
        "" => Err(NotASpan::NoUnit),
        "ms" => Ok(1),
        "s" => Ok(1000),
        "m" => Ok(1000 * MINUTE),
        "h" => Ok(1000 * HOUR),
        "d" => Ok(1000 * DAY),
        _ => Err(NotASpan::UnknownUnit(unit.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_read_as_they_are_written() {
        assert_eq!(parse_span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_span(" 500ms "), Ok(Duration::from_millis(500)));
        assert_eq!(parse_span("7d"), Ok(Duration::from_secs(7 * DAY)));
        assert_eq!(parse_span("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_span("30"), Err(NotASpan::NoUnit));
        assert_eq!(parse_span("s"), Err(NotASpan::NoNumber));
        assert_eq!(parse_span("1h30m"), Err(NotASpan::UnknownUnit("h30m".into())));
        assert_eq!(parse_span("367d"), Err(NotASpan::TooLong));
        assert_eq!(parse_span(&format!("{}d", "9".repeat(40))), Err(NotASpan::TooLong));
    }

    proptest! {
        #[test]
        fn a_number_and_a_unit_multiply(number in 0..366u64, unit in 0..5usize) {
            let (name, ms) = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)][unit];
            prop_assert_eq!(parse_span(&format!("{number}{name}")), Ok(Duration::from_millis(number * ms)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,30}") {
            let _ = parse_span(&text);
        }
    }
}
