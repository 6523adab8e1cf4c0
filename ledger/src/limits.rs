//! Every maximum of the ledger, each with the consequence of reaching it.

use protocol::limits::STATEMENT_BYTES_MAX;
use std::time::Duration;

/// Posts that wait for the writer. Beyond it `post` waits for room.
pub const QUEUE_JOBS_MAX: usize = 1024;

/// Pieces of work in one transaction: receipts, orders, acknowledgements. Those beyond it go into the
/// next.
pub const BATCH_PARTS_MAX: usize = 512;

/// How long one transaction goes on taking in what arrives meanwhile: it holds the lock that other
/// processes wait for, and its first receipt waits for its last.
pub const BATCH_TIME_MAX: Duration = Duration::from_millis(5);

/// How long to wait for another process that is writing. Beyond it a post fails as locked.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the last transaction held at least so many receipts, more are on their way ...
pub const GATHER_FROM: usize = 4;

/// ... and the next one waits this long for them: a transaction less is worth more than the wait, since each
/// writes the ends of all tables and indexes anew. Who posts alone never waits, nor does what needs no flush.
pub const GATHER_TIME: Duration = Duration::from_millis(2);

/// Writes (an entry, a row of the journal or a commit counts one) after which the write-ahead log is copied into the
/// database. More would save copies of pages that change again, and make that file longer: 20 to 40 MB at this
/// number.
pub const CHECKPOINT_WRITES: u64 = 4000;

/// The write-ahead log is cut back to this after it has grown behind a slow reader.
pub const WAL_BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// Page cache of the writing connection, in KiB. Nonces are random, so that each append touches
/// another page of their index: a cache that holds its inner pages saves reads.
pub const WRITER_CACHE_KIB: u32 = 8 * 1024;

/// Questions that wait for the reading thread. Beyond it they wait for room.
pub const QUEUE_READS_MAX: usize = 256;

/// Rows that a scan reads in one go. A longer go would hold up the write-ahead log's reuse.
pub const SCAN_ROWS_MAX: usize = 500;

/// A longer line of a JSON Lines file is refused unread: a receipt, its order, its acknowledgement
/// and as much again for what later versions add.
pub const LINE_BYTES_MAX: usize = 4 * STATEMENT_BYTES_MAX;

/// Refused lines that an import lists. Those beyond it are only counted.
pub const REFUSED_LISTED_MAX: usize = 1000;

/// Bad lines that a verification lists. Those beyond it are only counted.
pub const BAD_LISTED_MAX: usize = 100_000;

/// A reason in a report is cut to this: it may quote what it complains about.
pub const REASON_BYTES_MAX: usize = 200;

/// Findings that an audit lists. Those beyond it are only counted.
pub const FINDINGS_LISTED_MAX: usize = 1000;

/// Statements that a connection keeps prepared. Beyond it the one used longest ago is prepared anew.
pub const STATEMENTS_KEPT: usize = 64;

/// Claims and running orders that a friend may leave unacknowledged; beyond it 402 `ack_required`. Its
/// line is what bounds it: this only bounds what waits for acknowledgements that come in batches.
pub const FRIEND_CLAIMS_MAX: u64 = 4096;

/// The same for a stranger, however much it has settled.
pub const STRANGER_CLAIMS_MAX: u64 = 64;

/// Acknowledged receipts that earn a stranger one more claim beside its first.
pub const ORDERS_A_CLAIM: u64 = 4;

/// How long an order of ours waits for its receipt, in milliseconds: the worker keeps it no longer
/// (SPEC section 4). Then it counts as lost.
pub const AWAITED_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// Orders that are given up in one transaction. Those beyond it are given up by the next call.
pub const GIVEN_UP_AT_ONCE: usize = 500;

/// Acknowledgements that are checked between two looks at the ledger: the caller's thread does other
/// things in between. 64 signatures are some 4 ms.
pub const ACKS_AT_ONCE: usize = 64;

/// How long nobody looks again for processes that died, in milliseconds, when an order would be refused
/// for what may be theirs.
pub const SWEEP_EVERY_MS: u64 = 1000;
