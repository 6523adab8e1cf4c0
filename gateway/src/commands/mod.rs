//! The commands, one a file, and what they share: the home, the config, printing.
#![allow(clippy::print_stdout, reason = "what a command prints is its result")]

pub mod balance;
pub mod batch;
pub mod config;
pub mod credit;
pub mod demo;
pub mod doctor;
pub mod keygen;
pub mod ledger;
pub mod owner;
pub mod peers;
pub mod receipts;
pub mod relay;
pub mod route;
pub mod share;
pub mod table;
pub mod tracker;
pub mod up;

use crate::{identity_file, node::Plan, settings::Source};
use ::config::{Config, Environment, Flag, Loaded, Paths};
use anyhow::{Context, anyhow};
use protocol::Identity;
use serde::Serialize;
use std::io::{self, Write};

/// Where this node's files are and what its environment says.
pub struct Home {
    pub paths: Paths,
    pub env: Environment,
}

impl Home {
    pub fn find() -> anyhow::Result<Self> {
        let env = Environment::from_process_env();
        Ok(Self { paths: Paths::from_env(&env)?, env })
    }

    /// The configuration in force; every problem with it in one error.
    pub fn config(&self, flags: &[Flag]) -> anyhow::Result<Config> {
        Ok(self.loaded(flags)?.config)
    }

    pub fn loaded(&self, flags: &[Flag]) -> anyhow::Result<Loaded> {
        ::config::load(&self.paths.config, &self.env, flags).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            anyhow!("the configuration has {} to mend:{}", counted(lines.len(), "problem"), lines.concat())
        })
    }

    /// What a node of this home is built from. Flags stand above the file each time it is read.
    pub fn plan(&self, flags: &[Flag]) -> anyhow::Result<Plan> {
        Ok(Plan {
            config: self.config(flags)?,
            source: Some(Source {
                file: self.paths.config.clone(),
                env: self.env.clone(),
                flags: flags.to_vec(),
            }),
            identity: self.identity()?.0,
            paths: self.paths.clone(),
            block_private: self.blocks_private_addresses(),
            strangers_may_be_here: false,
        })
    }

    /// This node's identity, made if there is none. Gives whether it is new.
    pub fn identity(&self) -> anyhow::Result<(Identity, bool)> {
        identity_file::private_folder(&self.paths.home)
            .with_context(|| format!("the folder {} cannot be made", self.paths.home.display()))?;
        Ok(identity_file::load_or_create(&self.paths.identity)?)
    }

    /// `LOBSTAH_BLOCK_PRIVATE_ADDRS=1`
    pub fn blocks_private_addresses(&self) -> bool {
        self.env.get("LOBSTAH_BLOCK_PRIVATE_ADDRS").is_some_and(|value| value == "1")
    }
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    print(&format!("{text}\n"))
}

/// Whoever read our output has seen enough (`lobstah … | head`): the command ends, and well.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct ReaderLeft;

/// Prints to standard output; [`ReaderLeft`] where nobody reads it any more.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderLeft.into()),
        other => other.context("standard output cannot be written"),
    }
}

/// `1 problem`, `2 problems`
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
