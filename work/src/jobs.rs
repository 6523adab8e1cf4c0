//! Jobs of `POST /v1/jobs` at the gateway: tasks of their own, in no batch.

mod ask;
mod cancel;
mod submit;
mod sweep;

pub use cancel::CancelJobError;
pub use submit::{NewJob, SubmitJobError};
pub(crate) use sweep::sweep;

use crate::handle::Work;

/// The jobs; see the module.
#[derive(Clone, Copy)]
pub struct Jobs<'w> {
    work: &'w Work,
}

impl Work {
    /// The gateway's jobs.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs { work: self }
    }
}
