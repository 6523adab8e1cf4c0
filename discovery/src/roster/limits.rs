//! How much of what strangers say is kept, each with what happens beyond it.

/// Workers that are remembered at once. Beyond it a newcomer takes the place of a random one that never
/// served us.
pub const ENTRIES_MAX: usize = 100_000;

/// Signed text of all announcements together, as it is kept. Beyond it the longest of [`DRAWN`] random ones gives way.
pub const SIGNED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Models of all workers together. Beyond it the worker with the most, of [`DRAWN`] random ones, gives
/// way: else a few announcements of hundreds of made-up names would fill the memory.
pub const OFFERS_MAX: usize = 500_000;

/// Strangers that served us and so keep their place. Beyond it the oldest proof gives way.
pub const PROVEN_MAX: usize = 1_000;

/// Nostr keys that are remembered for one announcement. What more of them published only ends with
/// the announcement.
pub const PUBLISHERS_MAX: usize = 8;

/// Deletions that are remembered of each kind, for events that come after them. Beyond it the oldest
/// is forgotten, and an event that it took back counts until its announcement ends, a day at most.
pub const DELETIONS_MAX: usize = 10_000;

/// Candidates that are compared when the longest is to give way.
pub const DRAWN: usize = 32;

/// The limits of one roster; the defaults are the constants of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`ENTRIES_MAX`].
    pub entries: usize,
    /// See [`SIGNED_BYTES_MAX`].
    pub signed_bytes: usize,
    /// See [`OFFERS_MAX`].
    pub offers: usize,
    /// See [`PROVEN_MAX`].
    pub proven: usize,
    /// See [`DELETIONS_MAX`].
    pub deletions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: ENTRIES_MAX,
            signed_bytes: SIGNED_BYTES_MAX,
            offers: OFFERS_MAX,
            proven: PROVEN_MAX,
            deletions: DELETIONS_MAX,
        }
    }
}
