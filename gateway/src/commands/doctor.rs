//! `lobstah doctor`

use super::{Home, print, print_json};
use crate::doctor::{Finding, Patient, State};
use futures::{StreamExt, stream};
use std::{io::IsTerminal, process::ExitCode};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Checks that run at the same time.
const AT_ONCE: usize = 8;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let mut findings = Vec::new();
    match home.loaded(&[]) {
        Ok(loaded) => {
            let path = home.paths.config.path().display().to_string();
            let what =
                if home.paths.config.path().exists() { path } else { format!("no {path}: all defaults") };
            show(&args, &mut findings, vec![Finding::ok("settings", what)])?;
            let patient = Patient::new(loaded.config, home.paths.clone(), home.blocks_private_addresses());
            super::up::runtime()?.block_on(async {
                // Shown in order, each as soon as those before it are done.
                let mut checks = stream::iter(patient.checks()).buffered(AT_ONCE);
                while let Some(found) = checks.next().await {
                    show(&args, &mut findings, found)?;
                }
                anyhow::Ok(())
            })?;
        }
        Err(error) => {
            let finding = Finding::failed("settings", format!("{error:#}"), "lobstah config check");
            show(&args, &mut findings, vec![finding])?;
        }
    }
    if args.json {
        print_json(&findings)?;
    }
    let failed = findings.iter().filter(|finding| finding.state == State::Failed).count();
    if failed > 0 && !args.json {
        print(&format!("\n{} to mend\n", super::counted(failed, "thing")))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(args: &Args, all: &mut Vec<Finding>, found: Vec<Finding>) -> anyhow::Result<()> {
    if !args.json {
        found.iter().try_for_each(|finding| print(&line(finding)))?;
    }
    all.extend(found);
    Ok(())
}

fn line(finding: &Finding) -> String {
    let (word, colour) = match finding.state {
        State::Ok => ("ok", "32"),
        State::Warning => ("warn", "33"),
        State::Failed => ("FAIL", "31"),
        State::Off => ("-", "2"),
    };
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let word = if colours { format!("\x1b[{colour}m{word:<5}\x1b[0m") } else { format!("{word:<5}") };
    let mend =
        finding.mend.as_ref().map(|mend| format!("\n                 mend: {mend}")).unwrap_or_default();
    format!("{word} {:<10} {}{mend}\n", finding.check, finding.what)
}
