//! What came of the tries of one request, and which error it is if none was good.

use super::NoAnswer;
use crate::{
    failure::{Attempted, Failure},
    outcome::{Reason, Refusal},
    too_long,
    upstream::Upstream,
};
use protocol::ModelName;
use std::{sync::Arc, time::Duration};

/// After "everybody is busy": when to come back, if no upstream said.
const COME_BACK: Duration = Duration::from_secs(5);

/// The tries so far.
#[derive(Default)]
pub(super) struct Tried {
    reasons: Vec<(Attempted, Reason)>,
    /// The first peer's opinion that the request is wrong: believed when a second one agrees.
    verdict: Option<(Refusal, Arc<Upstream>)>,
}

impl Tried {
    /// One more that was of no use.
    pub(super) fn add(&mut self, upstream: &Upstream, reason: Reason) {
        let attempted = Attempted { peer: upstream.name.clone(), reason: reason.to_string() };
        self.reasons.push((attempted, reason));
    }

    /// An upstream says that the request is wrong. The owner's own is believed; a peer only when
    /// another agrees that is not a stranger like it, or one could make every request fail. `attempts` are those until now.
    pub(super) fn heard(
        &mut self,
        refusal: Refusal,
        upstream: Arc<Upstream>,
        attempts: usize,
    ) -> Result<(), NoAnswer> {
        // Keys cost nothing: two strangers may be one.
        let agrees =
            self.verdict.as_ref().is_some_and(|(_, other)| !(upstream.is_stranger() && other.is_stranger()));
        if upstream.is_own() || agrees {
            return Err(NoAnswer::Verdict(refusal, upstream, attempts));
        }
        self.add(&upstream, Reason::Status(refusal.status, "it says that the request is wrong".into()));
        self.verdict = Some((refusal, upstream));
        Ok(())
    }

    /// Nobody is left.
    pub(super) fn exhausted(self, model: &ModelName, path: &str, attempts: usize) -> NoAnswer {
        if let Some((refusal, upstream)) = self.verdict {
            return NoAnswer::Verdict(refusal, upstream, attempts);
        }
        let all = |test: fn(&Reason) -> bool| self.reasons.iter().all(|(_, reason)| test(reason));
        let (down, timed_out) = (all(Reason::is_down), all(|r| matches!(r, Reason::TimedOut)));
        let without_it = all(|r| matches!(r, Reason::Status(404, _)));
        let no_room = all(|r| matches!(r, Reason::TooLong(_) | Reason::Status(404, _)));
        let too_long = self.reasons.iter().filter_map(|(attempted, reason)| match reason {
            Reason::TooLong(too_long) => Some((attempted.peer.as_str(), too_long)),
            _ => None,
        });
        let too_long = too_long::largest(too_long).filter(|_| no_room);
        let attempts: Vec<Attempted> = self.reasons.into_iter().map(|(attempted, _)| attempted).collect();
        if let Some(too_long) = too_long {
            return NoAnswer::Failed(Failure::too_long(path, too_long));
        }
        NoAnswer::Failed(if attempts.is_empty() {
            everybody_is_busy()
        } else if without_it {
            Failure::ModelNotFound { model: model.clone(), near: Vec::new() }
        } else if down {
            Failure::NoUpstream { message: nobody_is_up(&attempts), attempts }
        } else if timed_out {
            Failure::UpstreamTimeout { attempts }
        } else {
            Failure::AllUpstreamsFailed { attempts }
        })
    }
}

/// The queue is full, or the wait was too long.
pub(super) fn everybody_is_busy() -> Failure {
    Failure::Busy { retry_after: COME_BACK }
}

fn nobody_is_up(attempts: &[Attempted]) -> String {
    let list =
        attempts.iter().map(|one| format!("{}: {}", one.peer, one.reason)).collect::<Vec<_>>().join("; ");
    let hint = if attempts.iter().any(|one| one.peer == "local") {
        "; start Ollama (`ollama serve`), or set OLLAMA_HOST to where it is"
    } else {
        ""
    };
    format!("nobody who may have this model is up: {list}{hint}")
}
