//! What a closed lease means for its task: pure.

use super::verdict::Verdict;
use protocol::Timestamp;

/// What the store knows of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It has its answer, or will have none.
    pub(crate) ended: bool,
    /// Its batch takes answers.
    pub(crate) wanted: bool,
    /// Other leases of it that are open.
    pub(crate) twins: u64,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it is over.
    Late,
    /// It has its answer. Its twin is to be cancelled.
    Complete,
    /// It ends without a good one.
    Fail,
    /// It waits again.
    Wait(Timestamp),
    /// Its twin decides.
    LeaveToTwin,
}

pub(crate) fn decide(task: Standing, verdict: &Verdict) -> Effect {
    const AT_ONCE: Timestamp = Timestamp::from_millis(0);
    if task.ended || !task.wanted {
        return Effect::Late;
    }
    if is_good(verdict) {
        return Effect::Complete;
    }
    if task.twins > 0 {
        return Effect::LeaveToTwin;
    }
    match verdict {
        Verdict::Answered(_) | Verdict::Failed { .. } => Effect::Fail,
        Verdict::Retry { not_before, .. } => Effect::Wait(*not_before),
        Verdict::Cut => Effect::Wait(AT_ONCE),
    }
}

pub(crate) fn is_good(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Answered(response) if (200..300).contains(&response.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json_line::JsonLine, tasks::Response};

    fn answered(status: u16) -> Verdict {
        let body = JsonLine::new(b"{}".to_vec()).unwrap();
        Verdict::Answered(Response { status, request_id: "r".into(), body })
    }

    #[test]
    fn the_first_good_answer_ends_a_task_and_a_later_one_is_late() {
        let open = Standing { ended: false, wanted: true, twins: 1 };
        assert_eq!(decide(open, &answered(200)), Effect::Complete);
        assert_eq!(decide(Standing { ended: true, ..open }, &answered(200)), Effect::Late);
        assert_eq!(decide(Standing { wanted: false, ..open }, &answered(200)), Effect::Late);
    }

    #[test]
    fn a_failure_counts_only_when_no_twin_runs() {
        let failed = Verdict::Failed { code: "c".into(), message: "m".into() };
        let retry = Verdict::Retry { not_before: Timestamp::from_millis(7), error: "e".into() };
        let of = |twins, verdict: &Verdict| decide(Standing { ended: false, wanted: true, twins }, verdict);
        for verdict in [&failed, &retry, &answered(400), &Verdict::Cut] {
            assert_eq!(of(1, verdict), Effect::LeaveToTwin);
        }
        assert_eq!(of(0, &failed), Effect::Fail);
        assert_eq!(of(0, &answered(400)), Effect::Fail);
        assert_eq!(of(0, &retry), Effect::Wait(Timestamp::from_millis(7)));
        assert_eq!(of(0, &Verdict::Cut), Effect::Wait(Timestamp::from_millis(0)));
    }
}
