//! The program `lobstah`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::cli::run()
}
