//! Which nodes there are and where they may be reached.
//!
//! For now the peers that the owner listed, by `lobstah peers add` or in `lobstah.toml`: all of
//! them friends. Who is found on Nostr relays and trackers will join them here as strangers.
//! Dialling is the gateway's; this crate says which addresses may be dialled.

pub mod address;
pub mod peer_list;

pub use address::{Dialable, Trust};
pub use peer_list::{PeerEntry, PeerList};
