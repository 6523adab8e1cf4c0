//! In which time a batch is to complete: `24h`, as OpenAI's, or `30m`, or `7d`.

use crate::limits::WINDOW_MS;
use protocol::Timestamp;
use std::{fmt, str::FromStr};

/// A time from the creation of a batch to its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionWindow {
    text: String,
    ms: u64,
}

/// The text is no such time: 400, `param` `completion_window`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`completion_window` is a number and `m`, `h` or `d`, from `1m` to `30d`, for example `24h`")]
pub struct BadWindow;

impl CompletionWindow {
    /// When a batch that was created at `from` expires.
    pub const fn end(&self, from: Timestamp) -> Timestamp {
        Timestamp::from_millis(from.as_millis() + self.ms)
    }
}

impl FromStr for CompletionWindow {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let unit_at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or(BadWindow)?;
        let (number, unit) = text.split_at(unit_at);
        let unit_ms: u64 = match unit {
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(BadWindow),
        };
        // `parse` would take a sign too.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadWindow);
        }
        let ms = number.parse().ok().and_then(|number: u64| number.checked_mul(unit_ms));
        let ms = ms.filter(|ms| WINDOW_MS.contains(ms)).ok_or(BadWindow)?;
        Ok(Self { text: text.to_owned(), ms })
    }
}

impl fmt::Display for CompletionWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_are_minutes_hours_or_days() {
        let end = |text: &str| {
            let window: CompletionWindow = text.parse().unwrap();
            assert_eq!(window.to_string(), text);
            window.end(Timestamp::from_millis(5)).as_millis() - 5
        };
        assert_eq!(end("24h"), 86_400_000);
        assert_eq!(end("30m"), 1_800_000);
        assert_eq!(end("7d"), 7 * 86_400_000);
        assert_eq!((end("1m"), end("30d")), (*WINDOW_MS.start(), *WINDOW_MS.end()));
        for bad in
            ["", "h", "24", "0h", "31d", "+1h", "-1h", "1.5h", "24H", "24 h", "99999999999999999999d", "1é"]
        {
            assert_eq!(bad.parse::<CompletionWindow>(), Err(BadWindow), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_refused(text: String) {
            let _ = text.parse::<CompletionWindow>();
        }
    }
}
