//! `lobstah receipts list | verify | export | import | audit`

use super::{Home, ReaderLeft, counted, print, print_json, table};
use crate::clock;
use anyhow::Context;
use clap::Subcommand;
use ledger::{Entry, Ledger, Reader, jsonl::Proves};
use protocol::{Receipt, Signed};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show receipts, newest first
    List {
        /// Show at most so many
        #[arg(long)]
        limit: Option<usize>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a file of receipts: every signature, offline
    Verify {
        /// JSON Lines, as `export` writes them; - for standard input
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write all receipts to standard output, oldest first, as JSON Lines
    Export,
    /// Keep the receipts of a file; what is there already is left alone
    Import {
        /// JSON Lines: an export, or the first Lobstah's ledger.jsonl; - for standard input
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replay the whole ledger: signatures, chain, sums
    Audit {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { limit, json } => list(limit.unwrap_or(usize::MAX), json),
        Command::Verify { file, json } => verify(&file, json),
        Command::Export => export(),
        Command::Import { file, json } => import(&file, json),
        Command::Audit { json } => audit(json),
    }
}

fn open() -> anyhow::Result<(Ledger, Reader)> {
    let home = Home::find()?;
    let (identity, _) = home.identity()?;
    let ledger = Ledger::open(&home.paths.ledger, identity.node.node_id())?;
    let reader = ledger.reader()?;
    Ok((ledger, reader))
}

fn list(limit: usize, json: bool) -> anyhow::Result<ExitCode> {
    let (_ledger, reader) = open()?;
    let entries = reader.last(limit)?;
    if json {
        let list: Vec<Value> = entries.iter().map(entry_object).collect();
        print_json(&list)?;
    } else if entries.is_empty() {
        print("no receipts yet\n")?;
    } else {
        let rows: Vec<Vec<String>> = entries.iter().filter_map(entry_row).collect();
        print(&table::render(
            &["completed", "model", "in", "out", "worker", "requester", "how", "state"],
            &rows,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn entry_object(entry: &Entry) -> Value {
    let mut value: Value =
        serde_json::from_str(&entry.signed).unwrap_or_else(|_| json!({"damaged": entry.seq}));
    value["state"] = json!(entry.state.as_str());
    value
}

fn entry_row(entry: &Entry) -> Option<Vec<String>> {
    let signed = Signed::<Receipt>::parse(entry.signed.as_bytes()).ok()?;
    let receipt = signed.unverified();
    let completed =
        std::time::UNIX_EPOCH + std::time::Duration::from_millis(receipt.completed_at.as_millis());
    let requester = receipt.requester.node().map_or_else(|| "anonymous".into(), |node| node.short());
    Some(vec![
        humantime::format_rfc3339_seconds(completed).to_string(),
        receipt.model.to_string(),
        receipt.usage.input_tokens.to_string(),
        receipt.usage.output_tokens.to_string(),
        receipt.worker.short(),
        requester,
        entry.origin.as_str().into(),
        entry.state.as_str().into(),
    ])
}

fn verify(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = ledger::jsonl::verify(input(file)?).with_context(|| format!("{}", file.display()))?;
    let all_good = report.good == report.total;
    if json {
        print_json(&report)?;
    } else {
        let mut text = format!("{} of {} good\n", report.good, counted(report.total as usize, "receipt"));
        text.push_str(&proved(&report.proves));
        for bad in &report.bad {
            text.push_str(&format!("line {}: {}\n", bad.line, bad.reason));
        }
        print(&text)?;
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the good lines prove to somebody who knows none of the parties, a line for each kind there is.
fn proved(proves: &Proves) -> String {
    let kinds = [
        (proves.settled, "settled: ordered, answered and acknowledged; neither side can deny it"),
        (proves.claimed, "claimed: ordered and answered; the requester has not said yes"),
        (proves.disputed, "disputed: ordered and answered; the requester says no"),
        (proves.alone, "a receipt alone: its worker's word, and nobody else's"),
    ];
    let there_are = kinds.into_iter().filter(|(sum, _)| sum.receipts > 0);
    let lines = there_are.map(|(sum, what)| {
        let (receipts, credits) = (counted(sum.receipts as usize, "receipt"), sum.credits);
        format!("  {receipts} of {credits} credits {what}\n")
    });
    lines.collect()
}

fn export() -> anyhow::Result<ExitCode> {
    let (_ledger, reader) = open()?;
    let report = ledger::jsonl::export(&reader, io::stdout().lock()).map_err(|error| {
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        let left = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
        if left { anyhow::Error::new(ReaderLeft) } else { error.into() }
    })?;
    if report.unreadable > 0 {
        eprintln!(
            "lobstah: {} could not be read; run: lobstah receipts audit",
            counted(report.unreadable as usize, "place")
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn import(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let input = input(file)?;
    let (ledger, _reader) = open()?;
    let progress = Progress::new();
    let report = ledger::jsonl::import(&ledger, input, clock::now(), |so_far| {
        progress.show(&format!("{} read, {} new", counted(so_far.total as usize, "line"), so_far.new));
    });
    progress.clear();
    let report = report?;
    ledger.close();
    if json {
        print_json(&report)?;
    } else {
        let mut text = format!(
            "{} new, {} there already, {} refused\n",
            report.new, report.already, report.refused_total
        );
        if report.foreign > 0 {
            text.push_str(&format!(
                "{} between other nodes: kept for the record, they change no balance of this one\n",
                counted(report.foreign as usize, "receipt")
            ));
        }
        for bad in &report.refused {
            text.push_str(&format!("line {}: {}\n", bad.line, bad.reason));
        }
        print(&text)?;
    }
    Ok(if report.refused_total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn audit(json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    if !home.paths.ledger.exists() {
        anyhow::bail!(
            "there is no ledger at {} yet; it comes with the first receipt",
            home.paths.ledger.display()
        );
    }
    let progress = Progress::new();
    let report = ledger::audit::audit(&home.paths.ledger, |done, all| {
        progress.show(&format!("{done} of {all} entries"))
    });
    progress.clear();
    let report = report?;
    let clean = report.is_clean();
    if json {
        print_json(&report)?;
    } else {
        let mut text = format!("{} replayed; ", counted(report.entries as usize, "receipt"));
        text.push_str(if clean { "signatures, chain and sums agree\n" } else { "not everything agrees:\n" });
        for finding in &report.findings {
            text.push_str(&format!("  {finding}\n"));
        }
        text.push_str(&format!("head of the chain: {}\n", report.head));
        print(&text)?;
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn input(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}

/// One line on a terminal that is written over and over; nothing anywhere else.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    fn show(&self, text: &str) {
        if self.shown {
            eprint!("\r{text}\x1b[K");
            let _ = io::stderr().flush();
        }
    }

    fn clear(&self) {
        self.show("");
        if self.shown {
            eprint!("\r");
        }
    }
}
