//! `lobstah batch run | submit | status | list | cancel`: OpenAI's batch files from the shell, through the
//! node that runs in this home.

mod bars;
mod earlier;
mod node;
mod outcome;
mod pace;
mod show;
mod submission;
mod watch;

use super::{Home, print, print_json};
use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use node::RunningNode;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use submission::{Begun, Submission};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Have every line of a file answered, and wait for the answers. The same again goes on with the same batch,
    /// or asks what one that ended early left without an answer
    Run {
        #[command(flatten)]
        what: What,
        /// Where the answers go; errors go beside it [default: FILE with .out.jsonl]
        #[arg(short, long, value_name = "OUT.jsonl")]
        output: Option<PathBuf>,
        /// Print the batch as JSON at its end
        #[arg(long)]
        json: bool,
    },
    /// Begin with a file and print the batch's id
    Submit {
        #[command(flatten)]
        what: What,
        /// Print the batch as JSON
        #[arg(long)]
        json: bool,
    },
    /// How a batch gets on
    Status {
        /// Its id; left out: the newest
        id: Option<String>,
        /// Print the batch as JSON
        #[arg(long)]
        json: bool,
    },
    /// The batches of this node, the newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a batch. What is answered is kept
    Cancel {
        /// Its id
        id: String,
        /// Print the batch as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What is to be answered, and how.
#[derive(ClapArgs, Debug)]
pub struct What {
    /// One request a line, as OpenAI's batches have it
    file: PathBuf,
    /// In which time: a number and m, h or d. What has no answer then is an error
    #[arg(long, default_value = "24h")]
    window: work::batches::CompletionWindow,
    /// Spend no more than this on it
    #[arg(long, value_name = "N")]
    max_credits: Option<u64>,
    /// Of the places where the route of a model leads, only these: local,friends,network [default: all]
    #[arg(long, value_name = "GROUPS")]
    to: Option<String>,
    /// Try slow lines at its end a second time elsewhere. Both tries cost
    #[arg(long)]
    hedge: bool,
    /// Begin anew, although the same file was run before
    #[arg(long)]
    again: bool,
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = RunningNode::of(&home)?;
        match command {
            Command::Run { what, output, json } => run_to_its_end(&node, &what, output, json).await,
            Command::Submit { what, json } => {
                let begun = Submission::read(&what).await?.begin(&node).await?;
                if matches!(begun, Begun::Before(_)) {
                    eprintln!("this file was submitted before with the same options; --again begins anew");
                }
                let batch = begun.into_batch();
                if json {
                    print_json(&batch)?
                } else {
                    print(&format!("{}\n", batch.id))?
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Status { id, json } => {
                let id = match id {
                    Some(id) => id,
                    None => node
                        .newest()
                        .await?
                        .context("this node has no batch yet: lobstah batch run FILE.jsonl")?,
                };
                let report = node.progress(&id).await?;
                if json {
                    print_json(&report.batch)?
                } else {
                    print(&show::status(&report))?
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::List { limit, json } => {
                let batches = node.batches(None, limit).await?;
                if json {
                    print_json(&batches)?
                } else {
                    print(&show::list(&batches))?
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Cancel { id, json } => {
                let batch = node.cancel(&id).await?;
                if json {
                    print_json(&batch)?
                } else {
                    print(&show::cancelled(&batch))?
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

async fn run_to_its_end(
    node: &RunningNode,
    what: &What,
    output: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let output = output.unwrap_or_else(|| what.file.with_extension("out.jsonl"));
    anyhow::ensure!(!is_same(&output, &what.file), "-o names the file that is to be read; name another");
    let begun = Submission::read(what).await?.begin(node).await?;
    let how = match &begun {
        Begun::Now(_) => "begun",
        Begun::Before(_) => "goes on: the same file was submitted before with the same options",
    };
    eprintln!("{} {how}", begun.batch().id);
    let Some(report) = watch::until_over(node, &begun.batch().id).await? else {
        let (file, id) = (what.file.display(), &begun.batch().id);
        eprintln!(
            "the batch goes on: `lobstah batch run {file}` with the same options waits for it again, \
             `lobstah batch cancel {id}` ends it"
        );
        return Ok(ExitCode::FAILURE);
    };
    let before = outcome::keep(node, &report.batch, &what.file, &output).await?;
    if json {
        print_json(&report.batch)?
    } else {
        print(&show::ended(&report, before, &output))?
    }
    let all = outcome::all_answered(&report.batch);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether both are one file, however they are written. One that does not exist is no other.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}
