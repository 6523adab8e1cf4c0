//! The work of a node that is not done yet, and what came of it: jobs, files, batches.
//!
//! Everything here is durable before it is answered and survives `kill -9`, in one SQLite file (`work.db`)
//! and one folder (`files/`) of `LOBSTAH_HOME`. Several processes may have them open. There is no HTTP and no
//! peer in this crate: it remembers, decides and counts; who calls it sends.
//!
//! Begin at [`Work`]. Its parts:
//!
//! - [`lent`]: what others gave this worker to do. A loop calls [`lent::Lent::next`], runs the engine, and
//!   calls [`lent::Lent::end`], the ledger's `claim`, [`lent::Lent::claimed`]; after a start it claims
//!   [`lent::Lent::unclaimed`] again first.
//! - [`files`]: uploads streamed to the disk, and what batches wrote.
//! - [`batches`]: created, validated, and written when their lines are answered.
//! - [`jobs`]: the gateway's own `POST /v1/jobs`.
//! - [`tasks`]: what of batches and jobs waits for an answer.
//!
//! # How a scheduler uses it
//!
//! ```text
//! at a start    sweep, adopt            ask the workers of adopted leases by their order's id
//! every second  sweep, expire           to_cancel: cancel at the workers, then close with Cut and the cost
//!               to_validate → validate, to_write → write
//! when a worker has room
//!               waiting(limit, busy)    tasks in fair turns; prefer the worker that saw `opening`
//!               order, lease            reserves the credits; OverBudget: none of it fits
//!               body, send
//!               close(Answered | Retry(backoff::after) | Failed | Cut, charge)
//!               a twin among `losers` is to be cancelled, and closed with its cost
//! when workers are idle
//!               hedgeable, lease(hedge)
//! ```
//!
//! A batch that has nothing leased and whose next line is over its budget is to be ended with
//! [`batches::Batches::stop`]; lines of a model that nobody has with [`tasks::Tasks::fail_model`].
//!
//! **Invariants:** a task gets at most one good answer. What a batch has spent and reserved never exceeds its
//! budget, as long as no worker is paid more than its order allows. A line is in exactly one of a batch's
//! files, in the order of the input. What was acknowledged to a caller is on the disk. The wall clock and
//! randomness for jitter are parameters.
#![warn(missing_docs)]

pub mod backoff;
pub mod batches;
mod endpoint;
pub mod files;
mod handle;
mod id;
mod idempotency;
mod job_record;
pub mod jobs;
mod json_line;
mod keeping;
pub mod lent;
pub mod limits;
mod metadata;
mod opening;
pub mod step;
mod store;
mod sweep;
pub mod tasks;

pub use endpoint::Endpoint;
pub use handle::Work;
pub use idempotency::{BadIdempotencyKey, Created, Idempotency};
pub use job_record::{JobError, JobRecord, JobStatus};
pub use json_line::{BadJson, JsonLine};
pub use metadata::{Metadata, MetadataTooLarge};
pub use opening::Opening;
pub use store::{connection::OpenError, error::StoreError};
pub use sweep::Swept;
