//! Checks an input file line by line, in constant memory but for a hash of each `custom_id`.
//!
//! Pure: bytes go in at arbitrary cut points, lines and problems come out. Where OpenAI's own codes for
//! problems are known they are the same.

mod checker;
mod line;
mod problem;
mod split;

pub use checker::{CheckedLine, Checker, Report};
pub use line::body_of;
pub(crate) use line::read_body;
pub use problem::Problem;
