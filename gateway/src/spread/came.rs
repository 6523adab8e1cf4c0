//! What came of a try, and what that means for its task: pure.

use super::answer::Answer;
use crate::{
    outcome::{Reason, Refusal},
    witness::Saw,
};
use protocol::{Credits, Receipt, Timestamp, Verified, judge::Judgement};
use work::{
    JsonLine, backoff,
    tasks::{Charge, Cost, Response, TokenUsage, Verdict},
};

/// What an upstream said to a task.
#[derive(Debug)]
pub(super) enum Said {
    /// A good answer.
    Answered(Answer),
    /// The request is wrong, it says.
    Wrong(Refusal),
    /// An engine or server of the owner's own: there is no such model or place at it, in its words.
    Absent(String),
    /// Nothing of use.
    Nothing(Reason),
    /// Its turn did not come in its time: the worker was busy with others, and has done nothing wrong.
    Unbegun,
    /// We cancelled it.
    Cut,
    /// Nobody knows yet, and this node stops: the next process asks.
    Left,
}

/// A receipt of the order that went along, and what is thought of it.
#[derive(Clone, Debug)]
pub(super) struct Papers {
    pub(super) receipt: Verified<Receipt>,
    pub(super) judgement: Judgement,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) said: Said,
    /// To be kept once the lease is closed.
    pub(super) papers: Option<Papers>,
    /// What a receipt charges that answers no order: those of version 1.
    pub(super) unordered: Credits,
    /// What there was of an answer to an order, for a receipt that comes later; `None` while nobody knows.
    pub(super) saw: Option<Saw>,
}

impl Came {
    pub(super) fn of(said: Said) -> Self {
        Self::with(said, None)
    }

    pub(super) fn with(said: Said, papers: Option<Papers>) -> Self {
        Self { said, papers, unordered: Credits::ZERO, saw: None }
    }

    pub(super) fn nothing(reason: Reason) -> Self {
        Self::of(Said::Nothing(reason))
    }

    /// What it sent is not an answer.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::nothing(Reason::Broken(why.into()))
    }

    /// The same, and what there was of an answer is known.
    pub(super) fn seen(self, saw: Saw) -> Self {
        Self { saw: Some(saw), ..self }
    }

    /// What it charges; what is disputed is not paid.
    pub(super) fn charged(&self) -> Credits {
        let good = self.papers.as_ref().filter(|papers| papers.judgement == Judgement::Ok);
        good.and_then(|papers| papers.receipt.answers.as_ref())
            .map_or(self.unordered, |answer| answer.credits)
    }

    /// For the books of its batch; `ordered`: by an order, whose receipt may come later.
    pub(super) fn charge(&self, ordered: bool) -> Charge {
        let usage = match (&self.said, &self.papers) {
            (Said::Answered(answer), _) => answer.usage,
            (_, Some(papers)) => {
                let usage = papers.receipt.usage;
                TokenUsage { input: usage.input_tokens, output: usage.output_tokens, ..TokenUsage::default() }
            }
            _ => TokenUsage::default(),
        };
        let cost = match (&self.papers, self.saw) {
            (None, None | Some(Saw::Part(_) | Saw::Whole(_) | Saw::Running | Saw::Unwaited)) if ordered => {
                Cost::Unheard
            }
            // Of what is known to be nothing no receipt is ever asked for.
            _ => Cost::Charged(self.charged()),
        };
        Charge { cost, usage }
    }

    /// The label in metrics and logs.
    pub(super) fn label(&self) -> &'static str {
        match &self.said {
            Said::Answered(_) => "answered",
            Said::Wrong(_) => "refused",
            Said::Nothing(Reason::TimedOut) => "timed_out",
            Said::Nothing(Reason::Busy(_) | Reason::NoCredit { .. } | Reason::TooLong(_)) => "not_taken",
            Said::Unbegun => "not_taken",
            Said::Absent(_) | Said::Nothing(_) => "failed",
            Said::Cut => "cut",
            Said::Left => "left",
        }
    }
}

/// Whether a task that came to nothing in this way was not even tried: it waits on, and may be sent elsewhere
/// at once. All these keep their upstream from being asked at once again. (A 404 is a peer's: [`Said::Absent`] is
/// what the owner's own say.)
pub(super) fn costs_no_attempt(reason: &Reason) -> bool {
    match reason {
        Reason::Busy(_)
        | Reason::NoCredit { .. }
        | Reason::TooDear(_)
        | Reason::TooLong(_)
        | Reason::Down(_) => true,
        Reason::Status(status, _) => *status == 404 || reason.refuses_us(),
        Reason::QuoteChanged(_) | Reason::Gone(_) | Reason::TimedOut | Reason::Broken(_) => false,
    }
}

/// What a try means for its task, which was tried in vain `attempts` times before; `None`: nothing yet.
/// `believed`: its word that the request is wrong, or the model nowhere, counts.
pub(super) fn verdict(
    said: &Said,
    believed: bool,
    request_id: &str,
    attempts: u32,
    jitter: u32,
    now: Timestamp,
) -> Option<Verdict> {
    let again = |error: String| match backoff::after(attempts.saturating_add(1), jitter) {
        Some(wait) => {
            let not_before = Timestamp::from_millis(now.as_millis() + wait.as_millis() as u64);
            Verdict::Retry { not_before, error }
        }
        None => Verdict::Failed {
            code: "all_upstreams_failed".to_owned(),
            message: format!("it was tried {} times; the last time: {error}", attempts + 1),
        },
    };
    Some(match said {
        Said::Answered(answer) => answered(200, request_id, answer.body.clone()),
        Said::Wrong(refusal) if believed => refused(refusal, request_id),
        Said::Wrong(refusal) => again(format!("status {}: the request is wrong, it says", refusal.status)),
        Said::Absent(words) if believed => Verdict::Failed {
            code: "model_not_found".to_owned(),
            message: format!(
                "nobody else can be asked, and the upstream has no such model or endpoint: {words}"
            ),
        },
        Said::Absent(words) => again(format!("status 404: {words}")),
        Said::Nothing(reason) if costs_no_attempt(reason) => Verdict::Cut,
        Said::Nothing(reason) => again(reason.to_string()),
        Said::Unbegun | Said::Cut => Verdict::Cut,
        Said::Left => return None,
    })
}

fn answered(status: u16, request_id: &str, body: JsonLine) -> Verdict {
    Verdict::Answered(Response { status, request_id: request_id.to_owned(), body })
}

/// Its own words where they are JSON, as OpenAI's files have it.
fn refused(refusal: &Refusal, request_id: &str) -> Verdict {
    match JsonLine::new(refusal.body.to_vec()) {
        Ok(body) => answered(refusal.status, request_id, body),
        Err(_) => Verdict::Failed {
            code: "invalid_value".to_owned(),
            message: format!("the upstream refused the request with status {}", refusal.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;
    use work::limits::ATTEMPTS_MAX;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn of(said: &Said, attempts: u32) -> Option<Verdict> {
        verdict(said, false, "req", attempts, 0, NOW)
    }

    fn refusal(body: &'static str) -> Said {
        let body = Bytes::from_static(body.as_bytes());
        Said::Wrong(Refusal { status: 422, content_type: String::new(), body })
    }

    #[test]
    fn a_failure_is_tried_again_later_and_not_for_ever() {
        let broken = Said::Nothing(Reason::Broken("reset".into()));
        let Some(Verdict::Retry { not_before, .. }) = of(&broken, 0) else { panic!() };
        assert!(not_before > NOW);
        let last = of(&broken, ATTEMPTS_MAX - 1);
        assert!(matches!(last, Some(Verdict::Failed { code, .. }) if code == "all_upstreams_failed"));
    }

    #[test]
    fn who_is_full_or_away_or_lends_nothing_costs_no_attempt() {
        let credit = Reason::NoCredit { available: None, message: String::new() };
        for reason in [Reason::Busy(Duration::ZERO), credit, Reason::Down("refused".into())] {
            assert_eq!(of(&Said::Nothing(reason), 1000), Some(Verdict::Cut));
        }
    }

    #[test]
    fn who_will_not_have_us_costs_no_attempt_and_any_other_status_does() {
        let of = |status| of(&Said::Nothing(Reason::Status(status, String::new())), 0);
        assert!([401, 403].into_iter().all(|status| of(status) == Some(Verdict::Cut)));
        assert!(
            [405, 418, 500, 302].into_iter().all(|status| matches!(of(status), Some(Verdict::Retry { .. })))
        );
    }

    #[test]
    fn what_an_own_engine_has_not_is_asked_again_later_and_then_is_the_lines_error() {
        let said = Said::Absent("no model gpt-typo".into());
        assert!(matches!(of(&said, 0), Some(Verdict::Retry { .. })));
        let believed = verdict(&said, true, "req", 1, 0, NOW);
        assert!(matches!(believed, Some(Verdict::Failed { code, .. }) if code == "model_not_found"));
    }

    #[test]
    fn a_verdict_that_is_believed_is_the_lines_answer_with_its_status() {
        let said = refusal(r#"{"error":{"message":"no such tool"}}"#);
        assert!(matches!(of(&said, 0), Some(Verdict::Retry { .. })));
        let believed = verdict(&said, true, "req", 0, 0, NOW);
        assert!(matches!(believed, Some(Verdict::Answered(response)) if response.status == 422));
        let rubbish = verdict(&refusal("<html>"), true, "req", 0, 0, NOW);
        assert!(matches!(rubbish, Some(Verdict::Failed { .. })));
    }

    #[test]
    fn what_an_order_costs_is_known_by_its_receipt_or_where_there_was_surely_no_answer() {
        let away = || Came::nothing(Reason::TimedOut);
        assert_eq!(away().charge(true).cost, Cost::Unheard);
        assert_eq!(away().seen(Saw::Nothing).charge(true).cost, Cost::default());
        assert_eq!(away().charge(false).cost, Cost::default(), "nothing was ordered");
        assert_eq!(Came::of(Said::Cut).charge(true).cost, Cost::Unheard);
    }

    #[test]
    fn a_task_whose_turn_did_not_come_waits_on_however_often() {
        assert_eq!(of(&Said::Unbegun, 1000), Some(Verdict::Cut));
    }

    #[test]
    fn what_nobody_knows_yet_closes_nothing() {
        assert_eq!(of(&Said::Left, 0), None);
    }
}
