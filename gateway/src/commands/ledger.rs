//! `lobstah ledger backup FILE`

use super::{Home, print};
use ::ledger::Ledger;
use clap::Subcommand;
use std::{path::PathBuf, process::ExitCode};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Copy the ledger, also while a node runs; the copy is whole
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Backup { file } = command;
    let home = Home::find()?;
    let (identity, _) = home.identity()?;
    let ledger = Ledger::open(&home.paths.ledger, identity.node.node_id())?;
    ledger.reader()?.backup(&file)?;
    print(&format!("{} is a copy of {}\n", file.display(), home.paths.ledger.display()))?;
    Ok(ExitCode::SUCCESS)
}
