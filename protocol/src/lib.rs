//! What Lobstah nodes say to each other.
//!
//! Identities, canonical JSON, the signed statements (receipt, announcement) and the ways they
//! travel. Everything here is a pure function of its arguments: no I/O, no async, no clock, no
//! randomness. Bytes in, checked values out.
//!
//! **Invariant:** a [`Verified`] can only be made by checking a signature or by signing.
#![warn(missing_docs)]

pub mod announcement;
pub mod canonical;
pub mod carriers;
pub mod identity;
pub mod keypair;
pub mod limits;
pub mod model_name;
pub mod node_id;
pub mod nostr_key;
pub mod receipt;
pub mod signed;
mod strict_json;
pub mod timestamp;
pub mod usage;

pub use announcement::{Announcement, Liveness, Tier};
pub use identity::Identity;
pub use keypair::Keypair;
pub use model_name::ModelName;
pub use node_id::NodeId;
pub use nostr_key::NostrKeypair;
pub use receipt::{Receipt, Requester};
pub use signed::{Body, Rejected, Signed, Verified};
pub use timestamp::Timestamp;
pub use usage::Usage;
