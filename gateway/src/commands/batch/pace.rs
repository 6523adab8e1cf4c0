//! How fast a batch gets on, from several looks at it: pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Speeds are those of this time, so that they follow workers that come and go.
const WINDOW: Duration = Duration::from_secs(60);

/// What stood in one look.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    at: Instant,
    lines: u64,
    tokens: u64,
}

/// The looks of the last minute.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<Look>);

impl Pace {
    /// Notes how many lines are over and how many tokens were made.
    pub(super) fn look(&mut self, at: Instant, lines: u64, tokens: u64) {
        self.0.push_back(Look { at, lines, tokens });
        // One that is older stays: a minute is between it and now.
        while self.0.get(1).is_some_and(|second| at - second.at >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Lines and tokens a second; `None` until something moved.
    pub(super) fn speed(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let seconds = (last.at - first.at).as_secs_f64();
        let lines = last.lines.saturating_sub(first.lines);
        let tokens = last.tokens.saturating_sub(first.tokens);
        (seconds > 0.0 && lines > 0).then(|| (lines as f64 / seconds, tokens as f64 / seconds))
    }

    /// How long so many lines will take at this speed.
    pub(super) fn left(&self, lines: u64) -> Option<Duration> {
        let (a_second, _) = self.speed()?;
        Duration::try_from_secs_f64((lines as f64 / a_second).ceil()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_that_of_the_last_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert_eq!(pace.speed(), None);
        pace.look(at(0), 0, 0);
        pace.look(at(10), 0, 0);
        assert_eq!((pace.speed(), pace.left(10)), (None, None), "nothing moved yet");
        pace.look(at(20), 20, 400);
        assert_eq!(pace.speed(), Some((1.0, 20.0)));
        assert_eq!(pace.left(90), Some(Duration::from_secs(90)));
        for seconds in 21..=200 {
            pace.look(at(seconds), 20 + 2 * (seconds - 20), 400);
        }
        assert_eq!(pace.speed(), Some((2.0, 0.0)));
        assert!(pace.0.len() <= 62, "{}", pace.0.len());
    }
}
