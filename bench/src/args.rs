//! The command line.

use crate::figures::{Scenario, Subject};
use anyhow::bail;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measure what Lobstah adds to a request, beside nginx and beside no proxy at all.
///
/// Starts everything itself on loopback: a fake engine, nginx if it is installed, and `lobstah up` as a
/// gateway before an engine (local), as a worker that signs and keeps a receipt (worker), and as a gateway
/// that asks such a worker (remote). Needs about a minute and a half a round, and a machine with nothing
/// else to do.
#[derive(Parser, Debug)]
#[command(name = "compare", max_term_width = 100)]
pub struct Args {
    /// Rounds; each measures everything once, and the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Seconds that each load is measured, after one second that is not
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: u32,
    /// Only these, by name: direct, nginx, local, worker, remote; start, idle, whole, paced, burst
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// The program to measure [default: `lobstah` beside this one]
    #[arg(long, value_name = "PATH")]
    pub lobstah: Option<PathBuf>,
    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// The fake engine: answers until its standard input ends
    #[command(hide = true)]
    Engine,
}

/// What is measured of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub subjects: Vec<Subject>,
    pub scenarios: Vec<Scenario>,
}

impl Selection {
    /// From the names of `--only`: where it names no subject it means all of them, and likewise for
    /// scenarios.
    pub fn of(names: &[String]) -> anyhow::Result<Self> {
        let named = |name: &str| names.iter().any(|other| other == name);
        let known = |name: &String| {
            Subject::ALL.iter().any(|s| s.name() == name) || Scenario::ALL.iter().any(|s| s.name() == name)
        };
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            bail!("`{unknown}` is neither a subject nor a scenario; see --help");
        }
        let mut subjects: Vec<_> = Subject::ALL.into_iter().filter(|s| named(s.name())).collect();
        let mut scenarios: Vec<_> = Scenario::ALL.into_iter().filter(|s| named(s.name())).collect();
        if subjects.is_empty() {
            subjects = Subject::ALL.to_vec();
        }
        if scenarios.is_empty() {
            scenarios = Scenario::ALL.to_vec();
        }
        Ok(Self { subjects, scenarios })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> anyhow::Result<Selection> {
        Selection::of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_not_named_is_all_of_its_kind() {
        let all = only(&[]).unwrap();
        assert_eq!((all.subjects.len(), all.scenarios.len()), (5, 5));
        let some = only(&["paced", "local", "nginx"]).unwrap();
        assert_eq!(some.subjects, [Subject::Nginx, Subject::Local]);
        assert_eq!(some.scenarios, [Scenario::Paced]);
        assert!(only(&["locl"]).is_err());
    }
}
