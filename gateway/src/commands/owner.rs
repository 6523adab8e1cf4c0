//! Speaking to the node that runs in this home, through the socket that only its owner can open.

use super::Home;
use crate::services;
use anyhow::Context;
use serde_json::Value;
use std::time::Duration;

/// A node that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the running node answers; `None` if no node runs here.
pub async fn get(home: &Home, path: &str) -> anyhow::Result<Option<Value>> {
    ask(home, path, None).await
}

/// The same, telling it something.
pub async fn post(home: &Home, path: &str, body: &Value) -> anyhow::Result<Option<Value>> {
    ask(home, path, Some(body)).await
}

async fn ask(home: &Home, path: &str, body: Option<&Value>) -> anyhow::Result<Option<Value>> {
    let socket = services::socket_path(&home.paths);
    let client = reqwest::Client::builder().unix_socket(socket.clone()).timeout(PATIENCE).build()?;
    let url = format!("http://lobstah{path}");
    let request = match body {
        None => client.get(url),
        Some(body) => client.post(url).header("content-type", "application/json").body(body.to_string()),
    };
    let answer = match request.send().await {
        Ok(answer) => answer,
        // No socket, or one that a killed node left behind.
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("the node at {} does not answer", socket.display()));
        }
    };
    let ok = answer.status().is_success();
    let value: Value = answer.json().await?;
    if !ok {
        anyhow::bail!("{}", value["error"]["message"].as_str().unwrap_or("the running node refused"));
    }
    Ok(Some(value))
}
