//! The gateway and the worker: a requester's or a tool's HTTP request in, tokens and a signed receipt
//! out. The only crate that knows pingora and the command line.
//!
//! Start reading at [`node`] (the parts), then [`app`] (a connection), [`routes`] (what is asked),
//! [`inference`] and [`worker`] (the two ways a request is served).

pub mod admit;
pub mod app;
pub mod attempt;
pub mod books;
pub mod breaker;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod downstream;
pub mod exchange;
pub mod failover;
pub mod failure;
pub mod fetch;
pub mod identity_file;
pub mod inference;
pub mod meter;
pub mod metrics;
pub mod node;
pub mod outcome;
pub mod prober;
pub mod reports;
pub mod roster;
pub mod route;
pub mod routes;
pub mod services;
pub mod slots;
pub mod sse;
pub mod stream;
pub mod target;
pub mod telemetry;
pub mod worker;
