//! `lobstah keygen`

use super::{Home, print, print_json};
use anyhow::Context;
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Make a new identity even if there is one. The old one is kept beside it, with `.old` added
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let path = &home.paths.identity;
    if args.force && path.exists() {
        let mut old = path.clone().into_os_string();
        old.push(".old");
        std::fs::rename(path, &old).with_context(|| format!("{} cannot be moved away", path.display()))?;
    }
    let (identity, created) = home.identity()?;
    if args.json {
        print_json(&json!({
            "created": created,
            "path": path,
            "publicKey": identity.node.node_id(),
            "nostrPublicKey": identity.nostr.public_hex(),
            "npub": identity.nostr.npub(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let made = if created { "a new identity" } else { "this node's identity" };
    print(&format!(
        "{made}, in {}\n  node   {}\n  nostr  {}\n",
        path.display(),
        identity.node.node_id(),
        identity.nostr.npub()
    ))?;
    Ok(ExitCode::SUCCESS)
}
