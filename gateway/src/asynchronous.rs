//! Asynchronous work as tools ask for it: OpenAI's files and batches, and jobs (SPEC section 6).

pub mod batches;
pub mod files;
pub mod jobs;
