//! What Lobstah nodes say to each other.
//!
//! Identities, canonical JSON, the signed statements (announcement, order, receipt, acknowledgement)
//! and the ways they travel. Everything here is a pure function of its arguments: no I/O, no async, no clock, no
//! randomness. Bytes in, checked values out.
//!
//! **Invariant:** a [`Verified`] can only be made by checking a signature or by signing.
#![warn(missing_docs)]

pub mod ack;
pub mod announcement;
pub mod auth;
pub mod canonical;
pub mod capacity;
pub mod carriers;
pub mod credits;
mod fields;
pub mod identity;
pub mod judge;
pub mod keypair;
pub mod limits;
pub mod model_name;
pub mod node_id;
pub mod nostr_key;
pub mod order;
pub mod receipt;
pub mod signed;
mod strict_json;
pub mod timestamp;
pub mod unannounce;
pub mod usage;

pub use ack::Ack;
pub use announcement::{Announcement, Liveness, Tier};
pub use capacity::{Capacity, Price, TokensPerSecond};
pub use credits::Credits;
pub use identity::Identity;
pub use keypair::Keypair;
pub use model_name::ModelName;
pub use node_id::NodeId;
pub use nostr_key::NostrKeypair;
pub use order::Order;
pub use receipt::{Answer, Receipt, Requester};
pub use signed::{Body, Rejected, Signed, Verified};
pub use timestamp::Timestamp;
pub use unannounce::{Unannounce, Withdrawal};
pub use usage::Usage;
