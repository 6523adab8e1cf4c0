//! Asynchronous work as tools ask for it: OpenAI's files and batches, and jobs (SPEC section 6).
//!
//! What is kept is kept by the crate `work`; here are its routes, and [`paperwork`], which reads and writes
//! the files of batches in the background. [`refusal`] says what the store refuses as the answers that
//! tools get, [`multipart`] reads uploads, [`query`] what follows a question mark.

mod answer;
pub mod batches;
pub mod files;
pub mod jobs;
pub mod multipart;
pub mod paperwork;
pub mod query;
pub mod refusal;
pub mod respond_async;
