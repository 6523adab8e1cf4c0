//! Tables of batches.

/// `keeper` is the process that reads the lines or writes the files. `open`, `ready` and `ended` follow from
/// the state: whether lines may be leased, whether the files are to be written, whether it is over.
/// `cleared` tells that the rows of its lines are gone. `reserved` is what its open leases may cost.
///
/// `served` counts what each worker did for a batch; 0 stands for all jobs of the gateway. `unused` is the part
/// of `credits` that paid for no line's answer: what was cut, and what another answered first.
pub(crate) const TABLES: &str = "
CREATE TABLE batch (
    seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT    NOT NULL UNIQUE,
    status              INTEGER NOT NULL,
    keeper              INTEGER NOT NULL DEFAULT 0,
    open                INTEGER NOT NULL DEFAULT 0,
    ready               INTEGER NOT NULL DEFAULT 0,
    ended               INTEGER NOT NULL DEFAULT 0,
    cleared             INTEGER NOT NULL DEFAULT 0,
    turn                INTEGER NOT NULL DEFAULT 0,
    total               INTEGER NOT NULL DEFAULT 0,
    completed           INTEGER NOT NULL DEFAULT 0,
    failed              INTEGER NOT NULL DEFAULT 0,
    leased              INTEGER NOT NULL DEFAULT 0,
    reserved            INTEGER NOT NULL DEFAULT 0,
    spent               INTEGER NOT NULL DEFAULT 0,
    max_credits         INTEGER,
    hedge               INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL DEFAULT 0,
    cached_tokens       INTEGER NOT NULL DEFAULT 0,
    output_tokens       INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens    INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    in_progress_at      INTEGER,
    finalizing_at       INTEGER,
    completed_at        INTEGER,
    failed_at           INTEGER,
    expired_at          INTEGER,
    cancelling_at       INTEGER,
    cancelled_at        INTEGER,
    ended_at            INTEGER,
    endpoint            INTEGER NOT NULL,
    output_life_seconds INTEGER,
    input_file          TEXT    NOT NULL,
    output_file         TEXT,
    error_file          TEXT,
    completion_window   TEXT    NOT NULL,
    model               TEXT,
    unfinished          TEXT,
    destinations        TEXT,
    idempotency_key     TEXT    UNIQUE,
    request_sha256      BLOB,
    metadata            TEXT,
    errors              TEXT
) STRICT;
CREATE INDEX batch_open ON batch (turn) WHERE open = 1;
CREATE INDEX batch_ready ON batch (seq) WHERE ready = 1;
CREATE INDEX batch_validating ON batch (seq) WHERE status = 1;
CREATE INDEX batch_cancelling ON batch (seq) WHERE status = 7;
CREATE INDEX batch_expires ON batch (expires_at) WHERE status = 3;
CREATE INDEX batch_alive ON batch (input_file) WHERE ended = 0;
CREATE INDEX batch_uncleared ON batch (seq) WHERE ended = 1 AND cleared = 0;
CREATE INDEX batch_ended ON batch (ended_at) WHERE ended = 1;
CREATE INDEX batch_keeper ON batch (keeper) WHERE keeper > 0;

CREATE TABLE served (
    batch         INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    answered      INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    warm          INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    credits       INTEGER NOT NULL,
    unused        INTEGER NOT NULL,
    PRIMARY KEY (batch, worker)
) STRICT, WITHOUT ROWID;
";

/// `unheard` is what tries may yet cost of which nobody was heard.
pub(crate) const UNHEARD: &str = "ALTER TABLE batch ADD COLUMN unheard INTEGER NOT NULL DEFAULT 0;";

use super::lifecycle::BatchStatus;

impl BatchStatus {
    pub(crate) const fn code(self) -> i64 {
        match self {
            BatchStatus::Validating => 1,
            BatchStatus::Failed => 2,
            BatchStatus::InProgress => 3,
            BatchStatus::Finalizing => 4,
            BatchStatus::Completed => 5,
            BatchStatus::Expired => 6,
            BatchStatus::Cancelling => 7,
            BatchStatus::Cancelled => 8,
        }
    }

    pub(crate) const fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => BatchStatus::Validating,
            2 => BatchStatus::Failed,
            3 => BatchStatus::InProgress,
            4 => BatchStatus::Finalizing,
            5 => BatchStatus::Completed,
            6 => BatchStatus::Expired,
            7 => BatchStatus::Cancelling,
            8 => BatchStatus::Cancelled,
            _ => return None,
        })
    }
}
