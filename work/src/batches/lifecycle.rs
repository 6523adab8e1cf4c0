//! How a batch lives: OpenAI's eight states, pure.
//!
//! ```text
//! validating ──► in_progress ──► finalizing ──► completed
//!     │ │             │ └─ its time is over ─────► expired
//!     │ └► failed     ▼
//!     └──────────► cancelling ───────────────────► cancelled
//! ```

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// OpenAI's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Its lines are being read.
    Validating,
    /// Some line cannot be run, so none was.
    Failed,
    /// It runs.
    InProgress,
    /// Its files are being written.
    Finalizing,
    /// It is over, by itself.
    Completed,
    /// It is over, because its time was.
    Expired,
    /// Its owner wants it to end, and some line still runs.
    Cancelling,
    /// It is over, because its owner wanted that.
    Cancelled,
}

/// What becomes of lines without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfinished {
    /// The completion window is over.
    Expired,
    /// The owner cancelled.
    Cancelled,
    /// Something else ended it, its budget for one.
    Stopped {
        /// In code: `max_credits_reached`.
        code: String,
        /// In words.
        message: String,
    },
}

impl Unfinished {
    /// As the error of a line: code and message.
    pub fn error(&self) -> (&str, &str) {
        match self {
            Unfinished::Expired => {
                ("batch_expired", "the completion window was over before this line's turn came")
            }
            Unfinished::Cancelled => {
                ("batch_cancelled", "the batch was cancelled before this line was answered")
            }
            Unfinished::Stopped { code, message } => (code, message),
        }
    }
}

/// OpenAI's `request_counts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Lines.
    pub total: u64,
    /// Answered well.
    pub completed: u64,
    /// Answered with an error, or never to be answered.
    pub failed: u64,
}

/// When each state began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// `in_progress_at`
    pub in_progress: Option<Timestamp>,
    /// `finalizing_at`
    pub finalizing: Option<Timestamp>,
    /// `completed_at`
    pub completed: Option<Timestamp>,
    /// `failed_at`
    pub failed: Option<Timestamp>,
    /// `expired_at`
    pub expired: Option<Timestamp>,
    /// `cancelling_at`
    pub cancelling: Option<Timestamp>,
    /// `cancelled_at`
    pub cancelled: Option<Timestamp>,
}

/// Where a batch is.
///
/// **Invariant:** completed and failed lines are no more than there are, and exactly as many once it
/// has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Its state.
    pub status: BatchStatus,
    /// What becomes of lines without an answer; `None` while they may get one.
    pub unfinished: Option<Unfinished>,
    /// Its lines.
    pub counts: Counts,
    /// Leases that are open.
    pub leased: u64,
    /// When.
    pub times: Times,
}

/// What happens to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its file has problems.
    Refused,
    /// Its file is good, and so many lines are queued.
    Began {
        /// At least 1.
        lines: u64,
    },
    /// A line was leased.
    Leased,
    /// A lease was closed, whatever came of it.
    Released,
    /// A line was answered well.
    Completed,
    /// So many lines will not be answered well.
    Failed(u64),
    /// Its time is over.
    Expire,
    /// Unanswered lines get this error; those that run may still be answered.
    Stop {
        /// See [`Unfinished::Stopped`].
        code: String,
        /// See [`Unfinished::Stopped`].
        message: String,
    },
    /// Its owner wants it to end.
    Cancel,
    /// Its files stand in their place.
    Written,
}

/// The event does not belong to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is {status:?}, so this can no longer be done")]
pub struct NotNow {
    /// In which it is.
    pub status: BatchStatus,
}

impl Lifecycle {
    /// Of a batch that was just created.
    pub fn new() -> Self {
        let (status, unfinished) = (BatchStatus::Validating, None);
        Self { status, unfinished, counts: Counts::default(), leased: 0, times: Times::default() }
    }

    /// What follows an event. An event that does not belong to the state changes nothing.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Result<(), NotNow> {
        use BatchStatus::{Cancelled, Cancelling, Failed, InProgress, Validating};
        let not_now = Err(NotNow { status: self.status });
        match (event, self.status) {
            (Event::Refused, Validating) => self.enter(Failed, now),
            (Event::Began { lines }, Validating) => {
                self.counts.total = lines;
                self.enter(InProgress, now);
            }
            (Event::Leased, InProgress) if self.takes_leases() => self.leased += 1,
            // A hedge that lost may be open when all lines are answered, or when the batch has ended.
            (Event::Released, _) if self.leased > 0 => self.leased -= 1,
            (Event::Completed, InProgress | Cancelling) if self.unanswered() >= 1 => {
                self.counts.completed += 1
            }
            (Event::Failed(lines), InProgress | Cancelling) if self.unanswered() >= lines => {
                self.counts.failed += lines;
            }
            // What runs may have an answer already: it is cancelled, and heard out.
            (Event::Expire, InProgress) if self.unfinished.is_none() => {
                self.unfinished = Some(Unfinished::Expired);
            }
            (Event::Stop { code, message }, InProgress) if self.unfinished.is_none() => {
                self.unfinished = Some(Unfinished::Stopped { code, message });
            }
            (Event::Cancel, Validating) => {
                self.unfinished = Some(Unfinished::Cancelled);
                self.enter(Cancelling, now);
                self.enter(Cancelled, now);
            }
            (Event::Cancel, InProgress) => {
                self.unfinished = Some(Unfinished::Cancelled);
                self.enter(Cancelling, now);
            }
            // Twice is the same as once.
            (Event::Cancel, Cancelling | Cancelled) => {}
            (Event::Written, _) if self.is_ready() => self.end(now),
            _ => return not_now,
        }
        self.advance(now);
        Ok(())
    }

    /// Whether lines may be leased.
    pub fn takes_leases(&self) -> bool {
        self.status == BatchStatus::InProgress && self.unfinished.is_none()
    }

    /// Whether an answer to a line that runs is taken.
    pub fn takes_answers(&self) -> bool {
        matches!(self.status, BatchStatus::InProgress | BatchStatus::Cancelling)
    }

    /// Whether its files are to be written.
    pub fn is_ready(&self) -> bool {
        match self.status {
            BatchStatus::Finalizing => true,
            BatchStatus::Cancelling => self.leased == 0,
            _ => false,
        }
    }

    /// Whether nothing more happens to it.
    pub fn has_ended(&self) -> bool {
        use BatchStatus::{Cancelled, Completed, Expired, Failed};
        matches!(self.status, Failed | Completed | Expired | Cancelled)
    }

    fn unanswered(&self) -> u64 {
        self.counts.total - self.counts.completed - self.counts.failed
    }

    fn advance(&mut self, now: Timestamp) {
        let stopped = self.unfinished.is_some() && self.leased == 0;
        if self.status == BatchStatus::InProgress && (self.unanswered() == 0 || stopped) {
            self.enter(BatchStatus::Finalizing, now);
        }
    }

    fn end(&mut self, now: Timestamp) {
        let some_unanswered = self.unanswered() > 0;
        self.counts.failed = self.counts.total - self.counts.completed;
        self.enter(
            match self.unfinished {
                Some(Unfinished::Expired) if !some_unanswered => BatchStatus::Completed,
                Some(Unfinished::Expired) => BatchStatus::Expired,
                Some(Unfinished::Cancelled) => BatchStatus::Cancelled,
                None | Some(Unfinished::Stopped { .. }) => BatchStatus::Completed,
            },
            now,
        );
    }

    fn enter(&mut self, status: BatchStatus, now: Timestamp) {
        self.status = status;
        let times = &mut self.times;
        let since = match status {
            BatchStatus::Validating => return,
            BatchStatus::Failed => &mut times.failed,
            BatchStatus::InProgress => &mut times.in_progress,
            BatchStatus::Finalizing => &mut times.finalizing,
            BatchStatus::Completed => &mut times.completed,
            BatchStatus::Expired => &mut times.expired,
            BatchStatus::Cancelling => &mut times.cancelling,
            BatchStatus::Cancelled => &mut times.cancelled,
        };
        *since = Some(now);
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
