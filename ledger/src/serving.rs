//! The worker's half: what is reserved before the engine is asked, claimed when it is done, and
//! acknowledged by who ordered it.

pub(crate) mod acks;
pub(crate) mod admit;
pub(crate) mod claim;
pub(crate) mod release;
pub(crate) mod reservation;
