//! What the engine's answer means for a job: pure.

use crate::{
    outcome::{Outcome, Reason, Refusal, error_message},
    too_long,
};
use bytes::Bytes;
use protocol::Timestamp;
use std::time::Duration;
use work::{JobError, backoff, lent::PutBack, limits::LENT_ATTEMPTS_MAX};

/// An engine that is away is looked for again after this.
const AWAY: Duration = Duration::from_secs(2);

/// What is to be done with a job.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It has an answer.
    Answered(Bytes),
    /// It ends without one, and nobody owes for it.
    Failed(JobError),
    /// It is tried again, after this time at the earliest.
    Again(PutBack, Duration),
}

/// `attempts`: how often it was begun, this time included. `answer_by` and `now` say whether it is late.
pub(super) fn verdict(
    outcome: Outcome,
    attempts: u32,
    answer_by: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    // Who is not done when the time is over is not done in time.
    let done = matches!(outcome, Outcome::Whole(_));
    if answer_by.is_some_and(|by| if done { by < now } else { by <= now }) {
        return Verdict::Failed(JobError::new(
            "expired",
            "its order wanted an answer sooner than it was there",
        ));
    }
    match outcome {
        Outcome::Whole(answer) => Verdict::Answered(answer.body),
        Outcome::Stream(_) => Verdict::Failed(failed("the engine streamed what was to come whole")),
        Outcome::Verdict(refusal) => Verdict::Failed(refused(&refusal)),
        Outcome::Next(reason) => next(&reason, attempts),
    }
}

fn next(reason: &Reason, attempts: u32) -> Verdict {
    match reason {
        Reason::Down(_) | Reason::Gone(_) => Verdict::Again(PutBack::Untried, AWAY),
        Reason::Busy(retry_after) => Verdict::Again(PutBack::Untried, *retry_after),
        Reason::Status(404, message) => Verdict::Failed(JobError::new("model_not_found", message.as_str())),
        Reason::TooLong(too_long) => Verdict::Failed(JobError::new(too_long::CODE, too_long.to_string())),
        // It would take as long again.
        Reason::TimedOut => Verdict::Failed(failed("the engine took longer than this worker allows")),
        _ if attempts >= LENT_ATTEMPTS_MAX => Verdict::Failed(failed(&reason.to_string())),
        // One engine and one queue: nothing is gained by spreading what failed together.
        _ => Verdict::Again(PutBack::Tried, backoff::after(attempts, u32::MAX).unwrap_or(AWAY)),
    }
}

fn failed(why: &str) -> JobError {
    JobError::new("upstream_error", why)
}

fn refused(refusal: &Refusal) -> JobError {
    let said = error_message(&refusal.body);
    let message = said.unwrap_or_else(|| format!("the engine refused it with status {}", refusal.status));
    JobError::new("invalid_request_error", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::WholeAnswer;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_790_000_000_001);

    fn of(outcome: Outcome, attempts: u32) -> Verdict {
        verdict(outcome, attempts, Some(NOW), NOW)
    }

    fn in_time(outcome: Outcome, attempts: u32) -> Verdict {
        verdict(outcome, attempts, Some(LATER), NOW)
    }

    fn broken() -> Outcome {
        Outcome::Next(Reason::Broken("reset".into()))
    }

    fn whole() -> Outcome {
        let (content_type, body) = ("application/json".into(), Bytes::from_static(b"{}"));
        Outcome::Whole(WholeAnswer { status: 200, content_type, body, receipt: None })
    }

    #[test]
    fn an_answer_counts_until_its_time_is_over() {
        assert!(matches!(of(whole(), 1), Verdict::Answered(_)));
        let out_of_time = Outcome::Next(Reason::TimedOut);
        for late in [verdict(whole(), 1, Some(NOW), LATER), of(out_of_time, 1)] {
            assert!(matches!(late, Verdict::Failed(error) if error.kind == "expired"));
        }
    }

    #[test]
    fn an_engine_that_breaks_is_tried_again_and_not_for_ever() {
        let seconds = |attempts| match in_time(broken(), attempts) {
            Verdict::Again(PutBack::Tried, pause) => Some(pause.as_secs()),
            _ => None,
        };
        assert_eq!([1, 2, 3].map(seconds), [Some(1), Some(2), None]);
        let last = in_time(broken(), LENT_ATTEMPTS_MAX);
        assert!(matches!(last, Verdict::Failed(error) if error.kind == "upstream_error"));
    }

    #[test]
    fn an_engine_that_is_away_or_busy_costs_no_attempt() {
        for reason in [Reason::Down("refused".into()), Reason::Busy(AWAY)] {
            let again = in_time(Outcome::Next(reason), u32::MAX);
            assert!(matches!(again, Verdict::Again(PutBack::Untried, AWAY)));
        }
    }

    #[test]
    fn what_the_engine_says_of_the_request_is_final() {
        let body = Bytes::from_static(br#"{"error":{"message":"no such tool"}}"#);
        let refusal = Refusal { status: 400, content_type: String::new(), body };
        let Verdict::Failed(error) = in_time(Outcome::Verdict(refusal), 1) else { panic!("tried again") };
        assert_eq!(error, JobError::new("invalid_request_error", "no such tool"));
        let gone = in_time(Outcome::Next(Reason::Status(404, "gone".into())), 1);
        assert!(matches!(gone, Verdict::Failed(error) if error.kind == "model_not_found"));
    }
}
