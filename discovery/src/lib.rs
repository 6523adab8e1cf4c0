//! Which nodes there are and where they may be reached.
//!
//! Friends are those that the owner listed; strangers announce themselves on Nostr relays and
//! trackers, and are forgotten when they stop. Dialling workers is the gateway's; this crate says which
//! addresses may be dialled.

pub mod address;
pub mod event;
pub mod peer_list;
pub mod public_receipts;
pub mod publish;
pub mod relay;
pub mod relays;
pub mod roster;
pub mod roster_file;
mod shared_file;
pub mod tracker;

pub use address::{Dialable, Trust};
pub use event::{Checked, Refused, Rules};
pub use peer_list::{PeerEntry, PeerList};
pub use roster::{Entry, Roster, TakenIn};
pub use roster_file::RosterFile;
