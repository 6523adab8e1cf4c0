//! The gateway's half: what is ordered is remembered before it is sent, what comes back is kept with our
//! word on it, and that word waits until its worker has it.

pub(crate) mod awaited;
pub(crate) mod outbox;
pub(crate) mod place;
pub(crate) mod receive;
