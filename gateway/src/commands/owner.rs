//! Speaking to the node that runs in this home, through the socket that only its owner can open.

use super::Home;
use crate::services;
use anyhow::Context;
use std::time::Duration;

/// A node that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the running node answers; `None` if no node runs here.
pub async fn get(home: &Home, path: &str) -> anyhow::Result<Option<serde_json::Value>> {
    let socket = services::socket_path(&home.paths);
    let client = reqwest::Client::builder().unix_socket(socket.clone()).timeout(PATIENCE).build()?;
    let answer = match client.get(format!("http://lobstah{path}")).send().await {
        Ok(answer) => answer,
        // No socket, or one that a killed node left behind.
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("the node at {} does not answer", socket.display()));
        }
    };
    let ok = answer.status().is_success();
    let value: serde_json::Value = answer.json().await?;
    if !ok {
        anyhow::bail!("{}", value["error"]["message"].as_str().unwrap_or("the running node refused"));
    }
    Ok(Some(value))
}
