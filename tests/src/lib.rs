//! What the stories in `tests/` are told with: the real binary in a home of its own, engines that
//! obey, upstreams that lie, and clients that see every byte.
//!
//! A story starts what it needs ([`World`] for the usual pair), acts as a tool would, and waits for
//! conditions ([`eventually`]), never for time to pass.
#![allow(clippy::unwrap_used, reason = "a harness that cannot go on has found a failure")]
#![allow(clippy::missing_panics_doc)]

pub mod accounts;
pub mod batches;
pub mod batching;
pub mod binary;
pub mod chat;
pub mod client;
pub mod crew;
pub mod engine;
pub mod fleet;
pub mod forge;
pub mod home;
pub mod jobs;
pub mod lab;
pub mod meeting;
pub mod node;
pub mod patience;
pub mod process;
pub mod raw;
pub mod requester;
pub mod rogue;
pub mod rogue_relay;
pub mod rogue_worker;
pub mod sdks;
pub mod small_disk;
pub mod strangers;
pub mod world;

pub use chat::{ask, ask_stream};
pub use client::{Answer, Stream};
pub use crew::{Task, spawn};
pub use engine::{Engine, engine, engine_with};
pub use home::Home;
pub use lab::{Host, Lab, Link};
pub use meeting::MeetingPlace;
pub use node::{Node, Setup};
pub use patience::{all_of_it, eventually, eventually_within, soon};
pub use raw::Raw;
pub use requester::Requester;
pub use rogue::{Act, Request, Rogue};
pub use rogue_worker::RogueWorker;
pub use serde_json::{Value, json};
pub use world::World;
