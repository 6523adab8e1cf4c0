//! `compare`: the whole program beside nginx and beside no proxy, on one machine, in one run.
//!
//! - [`engine`]: a fake engine in a process of its own, so that its CPU is not counted;
//! - [`load`]: the generator, which counts and times what comes back, and refuses what is wrong;
//! - [`subject`]: what stands between the two: nothing, nginx, or `lobstah up` in its roles;
//! - [`rounds`]: which is measured when;
//! - [`figures`] and [`report`]: what was measured, against what was promised.
//!
//! Generator and engine share one core and the subject has another, so that requests per second are per
//! core of the subject. The figures to trust are CPU time per request and per chunk, and the ratios to
//! nginx in the same round: these hold while other work comes and goes on the machine.

pub mod args;
pub mod engine;
pub mod figures;
pub mod http;
pub mod load;
pub mod machine;
pub mod process;
pub mod question;
pub mod report;
pub mod rounds;
pub mod subject;
pub mod wire;
