//! What the owner decides: whom to refuse, whom to lend how much, what was paid or is forgiven.

pub(crate) mod decide;
pub(crate) mod settle;
