//! The gateway and the worker: a requester's or a tool's HTTP request in, tokens and a signed receipt
//! out. The only crate that knows pingora and the command line.
//!
//! Start reading at [`node`] (the parts), then [`app`] (a connection), [`routes`] (what is asked),
//! [`inference`] and [`worker`] (the two ways a request is served).

pub mod admit;
pub mod announce;
pub mod app;
pub mod asynchronous;
pub mod attempt;
pub mod books;
pub mod breaker;
pub mod candidates;
pub mod cli;
pub mod clock;
pub mod collecting;
pub mod commands;
pub mod credit;
pub mod discover;
pub mod doctor;
pub mod downstream;
pub mod exchange;
pub mod explain;
pub mod fail_point;
pub mod failover;
pub mod failure;
pub mod fetch;
pub mod identity_file;
pub mod inference;
pub mod inventory;
pub mod job_request;
pub mod lending;
pub mod meter;
pub mod metrics;
pub mod models;
pub mod node;
pub mod observed;
pub mod orders;
pub mod outcome;
pub mod owed;
pub mod peers;
pub mod prices;
pub mod prober;
pub mod publicity;
pub mod reports;
pub mod route;
pub mod routes;
pub mod services;
pub mod settings;
pub mod settling;
pub mod sharing;
pub mod slots;
pub mod speeds;
pub mod spread;
pub mod sse;
pub mod strangers;
pub mod stream;
pub mod tally;
pub mod target;
pub mod telemetry;
pub mod tending;
pub mod tracker;
pub mod upstream;
pub mod upstreams;
pub mod witness;
pub mod worker;
