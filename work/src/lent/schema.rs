//! Tables of the worker's queue.

/// `requester` is 32 bytes, or none for `anonymous`; `own` tells the owner's jobs. `instance` is the process
/// that runs the job. `held_until` is when a job that was put back may be begun again. `bytes` is what its
/// body or its result takes. The texts stand last: queries that do not want them need not read past the
/// short columns.
pub(crate) const TABLES: &str = "
CREATE TABLE lent (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    requester     BLOB    NOT NULL,
    own           INTEGER NOT NULL,
    endpoint      INTEGER NOT NULL,
    state         INTEGER NOT NULL DEFAULT 0,
    instance      INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,
    cancel        INTEGER NOT NULL DEFAULT 0,
    claim         INTEGER NOT NULL DEFAULT 0,
    held_until    INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL,
    answer_by     INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    ended_at      INTEGER,
    model         TEXT    NOT NULL,
    order_sha256  BLOB,
    error_type    TEXT,
    error_message TEXT,
    metadata      TEXT,
    signed_order  TEXT,
    receipt       TEXT,
    body          BLOB,
    result        TEXT
) STRICT;
CREATE INDEX lent_queued ON lent (own, requester, seq) WHERE state = 0;
CREATE INDEX lent_late ON lent (answer_by) WHERE state = 0 AND answer_by IS NOT NULL;
CREATE INDEX lent_running ON lent (instance) WHERE state = 1;
CREATE INDEX lent_ended ON lent (ended_at) WHERE state >= 2;
CREATE INDEX lent_order ON lent (order_sha256) WHERE order_sha256 IS NOT NULL;
CREATE INDEX lent_unclaimed ON lent (seq) WHERE claim = 1;
CREATE INDEX lent_bytes ON lent (own, requester, bytes) WHERE bytes > 0;
CREATE INDEX lent_requester ON lent (requester);
CREATE INDEX lent_state ON lent (state);

CREATE TABLE borrower (
    requester BLOB    PRIMARY KEY,
    turn      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
