//! `lobstah config check | show | schema`

use super::{Home, counted, print, print_json, table};
use clap::Subcommand;
use serde_json::{Map, Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Say everything that is wrong with the configuration, and where
    Check {
        /// Check this file in place of the one that would be used
        file: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the values in force and where each comes from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of lobstah.toml
    Schema,
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    match command {
        Command::Check { file, json } => check(&home, file, json),
        Command::Show { json } => show(&home, json),
        Command::Schema => {
            print_json(&::config::schema())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(home: &Home, file: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let file = file.map_or_else(|| home.paths.config.clone(), ::config::ConfigFile::Required);
    let problems = ::config::load(&file, &home.env, &[]).err().unwrap_or_default();
    if json {
        print_json(&json!({"ok": problems.is_empty(), "problems": problems}))?;
    } else if problems.is_empty() {
        let exists = file.path().exists();
        let what = if exists { "is fine" } else { "does not exist; the defaults are in force" };
        print(&format!("{} {what}\n", file.path().display()))?;
    } else {
        let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        print(&format!("{lines}{} to mend\n", counted(problems.len(), "problem")))?;
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(home: &Home, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = home.loaded(&[])?;
    let settings = loaded.origins.settings();
    if json {
        let object: Map<String, Value> = settings
            .iter()
            .map(|setting| {
                (setting.key.clone(), json!({"value": setting.value, "from": setting.source.to_string()}))
            })
            .collect();
        print_json(&object)?;
    } else {
        let rows: Vec<Vec<String>> = settings
            .iter()
            .map(|setting| vec![setting.key.clone(), setting.value.to_string(), setting.source.to_string()])
            .collect();
        print(&table::render(&["key", "value", "from"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
