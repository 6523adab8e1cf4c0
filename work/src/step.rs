//! The durable steps by name, and a way to die at one of them.
//!
//! In debug builds, `LOBSTAH_FAIL_AT=<step>` aborts the process right before the step is kept, and
//! `LOBSTAH_FAIL_AT=<step>-done` right after, before anybody is told. `:n` behind it means the nth time.
//! A release build has none of it.

/// A moment at which something of ours becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The row of an upload that begins.
    UploadBegun,
    /// An upload's bytes stand under their name.
    UploadNamed,
    /// An upload's row: now it is a file.
    FileKept,
    /// A file is deleted: its row says so.
    FileDeleted,
    /// The bytes of a deleted file are gone.
    FileUnlinked,
    /// A batch is created.
    BatchCreated,
    /// Some lines of a batch are queued.
    LinesQueued,
    /// All are: the batch runs, or has failed.
    BatchValidated,
    /// A batch is cancelled by its owner.
    BatchCancelled,
    /// A batch expires, or its budget is spent.
    BatchStopped,
    /// Who writes a batch's files, and their ids.
    FilesReserved,
    /// The output file stands under its name.
    OutputNamed,
    /// The error file stands under its name.
    ErrorsNamed,
    /// A batch has ended, and its files are files.
    BatchEnded,
    /// A task is leased.
    TaskLeased,
    /// A lease is closed, with or without an answer.
    LeaseClosed,
    /// A job is taken on by the gateway.
    JobKept,
    /// Such a job is cancelled.
    JobCancelled,
    /// A job of another is queued at the worker.
    LentQueued,
    /// It is begun.
    LentBegun,
    /// It waits again, since it could not be run.
    LentBack,
    /// Its result and receipt are kept.
    LentDone,
    /// Its receipt stands in the ledger.
    LentClaimed,
    /// Its result was acknowledged.
    LentAcknowledged,
    /// It is cancelled.
    LentCancelled,
    /// What dead processes held is taken up, and what is over is forgotten.
    Swept,
}

impl Step {
    /// All of them, in the order in which they stand here.
    pub const ALL: [Step; 26] = [
        Step::UploadBegun,
        Step::UploadNamed,
        Step::FileKept,
        Step::FileDeleted,
        Step::FileUnlinked,
        Step::BatchCreated,
        Step::LinesQueued,
        Step::BatchValidated,
        Step::BatchCancelled,
        Step::BatchStopped,
        Step::FilesReserved,
        Step::OutputNamed,
        Step::ErrorsNamed,
        Step::BatchEnded,
        Step::TaskLeased,
        Step::LeaseClosed,
        Step::JobKept,
        Step::JobCancelled,
        Step::LentQueued,
        Step::LentBegun,
        Step::LentBack,
        Step::LentDone,
        Step::LentClaimed,
        Step::LentAcknowledged,
        Step::LentCancelled,
        Step::Swept,
    ];

    /// The name for `LOBSTAH_FAIL_AT`.
    pub const fn name(self) -> &'static str {
        match self {
            Step::UploadBegun => "upload-begun",
            Step::UploadNamed => "upload-named",
            Step::FileKept => "file-kept",
            Step::FileDeleted => "file-deleted",
            Step::FileUnlinked => "file-unlinked",
            Step::BatchCreated => "batch-created",
            Step::LinesQueued => "lines-queued",
            Step::BatchValidated => "batch-validated",
            Step::BatchCancelled => "batch-cancelled",
            Step::BatchStopped => "batch-stopped",
            Step::FilesReserved => "files-reserved",
            Step::OutputNamed => "output-named",
            Step::ErrorsNamed => "errors-named",
            Step::BatchEnded => "batch-ended",
            Step::TaskLeased => "task-leased",
            Step::LeaseClosed => "lease-closed",
            Step::JobKept => "job-kept",
            Step::JobCancelled => "job-cancelled",
            Step::LentQueued => "lent-queued",
            Step::LentBegun => "lent-begun",
            Step::LentBack => "lent-back",
            Step::LentDone => "lent-done",
            Step::LentClaimed => "lent-claimed",
            Step::LentAcknowledged => "lent-acknowledged",
            Step::LentCancelled => "lent-cancelled",
            Step::Swept => "swept",
        }
    }
}

/// `step` is about to be kept.
pub(crate) fn doing(step: Step) {
    #[cfg(debug_assertions)]
    fail_point::reached(step.name(), "");
    #[cfg(not(debug_assertions))]
    let _ = step;
}

/// `step` is kept, and nobody knows it yet.
pub(crate) fn done(step: Step) {
    #[cfg(debug_assertions)]
    fail_point::reached(step.name(), "-done");
    #[cfg(not(debug_assertions))]
    let _ = step;
}

#[cfg(debug_assertions)]
mod fail_point {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    struct FailPoint {
        name: String,
        passes_left: AtomicU64,
    }

    pub(super) fn reached(step: &str, suffix: &str) {
        static SET: OnceLock<Option<FailPoint>> = OnceLock::new();
        let Some(point) = SET.get_or_init(read) else { return };
        let here = point.name.strip_prefix(step) == Some(suffix);
        if here && point.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    fn read() -> Option<FailPoint> {
        let value = std::env::var("LOBSTAH_FAIL_AT").ok()?;
        let (name, nth) = value.split_once(':').unwrap_or((&value, "1"));
        let passes_left = nth.parse().ok().filter(|nth| *nth > 0)?;
        Some(FailPoint { name: name.to_owned(), passes_left: AtomicU64::new(passes_left) })
    }
}
