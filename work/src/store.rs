//! One SQLite file, one thread that writes it, one that reads.

pub(crate) mod actor;
pub(crate) mod connection;
pub(crate) mod errand;
pub(crate) mod error;
pub(crate) mod instance;
pub(crate) mod schema;
pub(crate) mod tx;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
