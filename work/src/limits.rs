//! Every maximum of the work store, each with the consequence of reaching it. Those that an owner may
//! set are handed in; what stands here then is the default.

use std::time::Duration;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Requests to the store that wait for the writing thread. Beyond it they wait for room.
pub const QUEUE_ERRANDS_MAX: usize = 1024;

/// Questions that wait for the reading thread. Beyond it they wait for room.
pub const QUEUE_READS_MAX: usize = 256;

/// Requests in one transaction. Those beyond it go into the next.
pub const COMMIT_ERRANDS_MAX: usize = 512;

/// How long one transaction goes on taking in what arrives meanwhile.
pub const COMMIT_TIME_MAX: Duration = Duration::from_millis(5);

/// Where the last transaction held at least so many requests, more are on their way ...
pub const GATHER_FROM: usize = 4;

/// ... and the next one waits this long for them: a flush less is worth more than the wait.
pub const GATHER_TIME: Duration = Duration::from_micros(700);

/// How long to wait for another process that is writing. Beyond it a request fails as locked.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Commits after which the write-ahead log is copied into the database.
pub const CHECKPOINT_COMMITS: u64 = 256;

/// The write-ahead log is cut back to this after it has grown behind a slow reader.
pub const WAL_BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// Page cache of the writing connection, in KiB.
pub const WRITER_CACHE_KIB: u32 = 8 * 1024;

/// Statements that a connection keeps prepared. Beyond it the one used longest ago is prepared anew.
pub const STATEMENTS_KEPT: usize = 96;

/// Pages of the database that one sweep gives back to the disk.
pub const FREED_PAGES_A_SWEEP: u32 = 4096;

/// Rows that are removed, or read for an output file, in one go: others wait behind it.
pub const ROWS_AT_ONCE: usize = 500;

/// Rows that one list of leases or waiting tasks holds. Those beyond it come with the next call.
pub const LISTED_MAX: usize = 10_000;

// What others lent us to do.

/// Jobs of others that wait for our engine. Beyond it 429.
pub const LENT_QUEUED_MAX: u64 = 1000;

/// The same of one requester, so that nobody fills the queue.
pub const LENT_QUEUED_EACH_MAX: u64 = 100;

/// Bytes of bodies that wait and of results that were not acknowledged, all together. Beyond it 429.
pub const LENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The same of one requester, so that nobody closes the queue to others.
pub const LENT_BYTES_EACH_MAX: u64 = 256 * 1024 * 1024;

/// How long a job waits whose requester did not say how long (`answerBy`), in milliseconds.
pub const LENT_WAITS_MS: u64 = 7 * DAY_MS;

/// How often a job is begun. A process that died over it so often would die again: it fails.
pub const LENT_ATTEMPTS_MAX: u32 = 3;

/// How long a result waits for its acknowledgement, and after it what is left of the job, in
/// milliseconds (SPEC section 4). Then the job is forgotten.
pub const LENT_KEPT_MS: u64 = 30 * DAY_MS;

/// Ended jobs that are remembered. Beyond it the oldest that was acknowledged or failed is forgotten early.
pub const LENT_ENDED_MAX: u64 = 100_000;

// Files.

/// A longer upload is refused (`[files] max`, SPEC section 9).
pub const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// All files together. An upload that would exceed it is refused; what batches write is not.
pub const FILES_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Files that are kept. Beyond it an upload is refused.
pub const FILES_MAX: u64 = 100_000;

/// Uploads that run at once. Beyond it another is refused.
pub const UPLOADS_MAX: usize = 64;

/// A longer file name is refused.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// The shortest and longest life that an upload may be given, in seconds (OpenAI's).
pub const FILE_LIFE_SECONDS: std::ops::RangeInclusive<u64> = 3600..=30 * 24 * 3600;

/// How long an input file of batches is kept that was given no life, in milliseconds (OpenAI's).
pub const BATCH_FILE_LIFE_MS: u64 = 30 * DAY_MS;

/// The most, and the usual number of, files in one list (OpenAI's).
pub const FILES_LISTED_MAX: u32 = 10_000;

// Batches.

/// Lines of an input file. One with more fails its batch (OpenAI's).
pub const LINES_MAX: u64 = 50_000;

/// A longer line fails its batch: as long as the longest body that the gateway takes by default.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Models that one input file may ask for. One with more fails its batch.
pub const MODELS_A_BATCH_MAX: usize = 256;

/// A longer `custom_id` fails its batch.
pub const CUSTOM_ID_BYTES_MAX: usize = 512;

/// Problems of an input file that are listed. Those beyond it are left out.
pub const PROBLEMS_LISTED_MAX: usize = 100;

/// What is quoted of a line in a problem is cut to this.
pub const QUOTED_BYTES_MAX: usize = 80;

/// Bytes of a prompt that make its opening where no instruction stands before it.
pub const OPENING_BYTES: usize = 512;

/// The shortest and longest window in which a batch is to complete, in milliseconds.
pub const WINDOW_MS: std::ops::RangeInclusive<u64> = MINUTE_MS..=30 * DAY_MS;

/// Batches that have not ended. Beyond it another is refused.
pub const BATCHES_OPEN_MAX: u64 = 1000;

/// How long an ended batch is remembered, in milliseconds; its files are kept by their own rules.
pub const BATCH_KEPT_MS: u64 = 30 * DAY_MS;

/// Ended batches that are remembered. Beyond it the oldest is forgotten early.
pub const BATCHES_ENDED_MAX: u64 = 10_000;

/// The most, and the usual number of, batches in one list (OpenAI's).
pub const BATCHES_LISTED_MAX: u32 = 100;
/// See [`BATCHES_LISTED_MAX`].
pub const BATCHES_LISTED: u32 = 20;

/// Pairs of metadata, and how long (in characters) a key and a value may be (OpenAI's). Beyond it 400.
pub const METADATA_PAIRS_MAX: usize = 16;
/// See [`METADATA_PAIRS_MAX`].
pub const METADATA_KEY_CHARS_MAX: usize = 64;
/// See [`METADATA_PAIRS_MAX`].
pub const METADATA_VALUE_CHARS_MAX: usize = 512;

/// A longer `Idempotency-Key` is refused.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

// Tasks.

/// A longer answer counts as no answer: it would be read into memory to be stored.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is kept of an error's message is cut to this.
pub const ERROR_BYTES_MAX: usize = 1024;

/// A longer name of a worker, an order or a request is refused.
pub const NAME_BYTES_MAX: usize = 256;

/// Leases that one task may have at once: itself, and its hedge.
pub const LEASES_A_TASK_MAX: usize = 2;

/// How often a task is tried before [`crate::backoff::after`] gives it up.
pub const ATTEMPTS_MAX: u32 = 8;

/// The first wait after a failure, in milliseconds; each further one is twice as long ...
pub const BACKOFF_FIRST_MS: u64 = 1000;

/// ... up to this.
pub const BACKOFF_LONGEST_MS: u64 = 5 * MINUTE_MS;

// Jobs at the gateway.

/// Jobs that have not ended. Beyond it another is refused.
pub const JOBS_OPEN_MAX: u64 = 10_000;

/// Bytes of the bodies of such jobs. Beyond it another is refused.
pub const JOBS_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A job that has no answer after this fails, in milliseconds.
pub const JOB_LIFE_MS: u64 = 7 * DAY_MS;

/// How long an ended job and its result are kept, in milliseconds.
pub const JOB_KEPT_MS: u64 = 30 * DAY_MS;

/// Ended jobs that are kept. Beyond it the oldest is forgotten early.
pub const JOBS_ENDED_MAX: u64 = 100_000;
