//! `lobstah share [on | off | status]`: whether the node that runs here works for others, until it stops.

use super::{Home, counted, owner, print, print_json};
use crate::sharing::Shared;
use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do; left out: show how it is
    #[arg(value_enum, default_value = "status")]
    what: What,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Serve others, as lobstah.toml says
    On,
    /// Take nothing new from others; what runs is finished
    Off,
    /// Show how it is
    Status,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(async {
        match args.what {
            What::On => owner::post(&home, "/share", &json!({"sharing": true})).await,
            What::Off => owner::post(&home, "/share", &json!({"sharing": false})).await,
            What::Status => owner::get(&home, "/share").await,
        }
    })?;
    let told = told.context("no node runs here; start one with: lobstah up")?;
    if args.json {
        print_json(&told)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shared: Shared = serde_json::from_value(told)?;
    print(&describe(&shared))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(shared: &Shared) -> String {
    let earned = format!("earned so far: {} credits\n", shared.earned);
    let Some(address) = shared.listen else {
        return format!("others are not served; `lobstah share on` begins\n{earned}");
    };
    let announced = if shared.announcing { ", announced to strangers" } else { "" };
    let alone = if address.ip().to_canonical().is_loopback() {
        "only this machine reaches that address; set worker.listen in lobstah.toml for others\n"
    } else {
        ""
    };
    let models = if shared.models.is_empty() {
        "no model: is Ollama up, and does worker.models name any that it has?".to_owned()
    } else {
        shared.models.join(", ")
    };
    format!(
        "others are served at http://{address}{announced}\n{alone}lent: {models}\nnow: {}\n{earned}",
        counted(shared.serving, "request")
    )
}
