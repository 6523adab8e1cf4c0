//! `lobstah route explain MODEL`

use super::{Home, owner, print, print_json, table};
use crate::{explain::Explained, node::Node};
use clap::Subcommand;
use discovery::roster_file::RosterFile;
use protocol::ModelName;
use std::process::ExitCode;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show every candidate for a model, and why it is or is not taken
    Explain {
        /// The model's name, as a tool would ask for it
        model: ModelName,
        /// For a request that is not streamed
        #[arg(long)]
        no_stream: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Explain { model, no_stream, json } = command;
    let home = Home::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (explained, asked_now) = runtime.block_on(find_out(&home, &model, !no_stream))?;
    if json {
        print_json(&explained)?;
    } else {
        print(&text(&explained, asked_now))?;
    }
    let taken = explained.candidates.iter().any(|candidate| candidate.place.is_some());
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// From the node that runs here, which knows how everybody fares; else by asking everybody now.
async fn find_out(home: &Home, model: &ModelName, streamed: bool) -> anyhow::Result<(Explained, bool)> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("model", model.as_str())
        .append_pair("stream", if streamed { "true" } else { "false" })
        .finish();
    if let Some(answer) = owner::get(home, &format!("/route?{query}")).await? {
        return Ok((serde_json::from_value(answer)?, false));
    }
    let node = Node::build(home.plan(&[])?)?;
    node.strangers.load(&RosterFile::at(node.paths.strangers()));
    let explained = crate::explain::explain(&node, model, streamed).await;
    Ok((explained, true))
}

fn text(explained: &Explained, asked_now: bool) -> String {
    let mut text = String::new();
    let route = match &explained.route {
        Some(glob) => format!("the route \"{glob}\""),
        None => "no route names it, so".to_owned(),
    };
    text.push_str(&format!("{}: {route} goes to {}", explained.model, explained.to.join(", ")));
    if let Some(use_model) = &explained.use_model {
        text.push_str(&format!("; local, friends and network are asked for {use_model}"));
    }
    if let Some(tier) = &explained.tier {
        text.push_str(&format!("; {tier} is preferred"));
    }
    text.push('\n');
    if asked_now {
        text.push_str(
            "(no node runs here: everybody was asked just now, and nothing is known of how they fared)\n",
        );
    }
    let cells: Vec<Vec<String>> = explained
        .candidates
        .iter()
        .map(|one| {
            let place = one.place.map_or_else(|| "-".into(), |place| place.to_string());
            vec![place, one.label.clone(), one.group.clone(), one.url.clone(), one.reason.clone()]
        })
        .collect();
    text.push_str(&table::render(&["order", "who", "group", "url", "why"], &cells));
    if explained.candidates.iter().all(|one| one.place.is_none()) {
        text.push_str("nobody is taken: a request would be answered with an error\n");
    }
    text
}
