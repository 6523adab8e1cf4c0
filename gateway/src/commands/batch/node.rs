//! The node that runs in this home, as these commands use it: OpenAI's routes for files and batches, on
//! the socket that only its owner can open. So no key is needed.

use crate::{asynchronous::batches::Report, commands::Home, services};
use anyhow::{Context, anyhow};
use reqwest::{Body, Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use work::batches::Batch;

/// A node that says nothing for longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The node; whether it runs shows when it is asked.
pub(super) struct RunningNode {
    client: Client,
}

/// Nothing listens on the socket.
#[derive(Debug, thiserror::Error)]
#[error("no node runs in this home; start one: lobstah up")]
pub(super) struct NoNode;

/// A list, as OpenAI's are.
#[derive(serde::Deserialize)]
struct List<T> {
    data: Vec<T>,
}

impl RunningNode {
    pub(super) fn of(home: &Home) -> anyhow::Result<Self> {
        let socket = services::socket_path(&home.paths);
        Ok(Self { client: Client::builder().unix_socket(socket).read_timeout(PATIENCE).build()? })
    }

    pub(super) async fn progress(&self, id: &str) -> anyhow::Result<Report> {
        read(self.client.get(url(&["batches", id, "progress"])?)).await
    }

    /// At most `limit` batches, the newest first, that come after this one.
    pub(super) async fn batches(&self, after: Option<&str>, limit: u32) -> anyhow::Result<Vec<Batch>> {
        let mut url = url(&["v1", "batches"])?;
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string())
            .append_pair("after", after.unwrap_or(""));
        Ok(read::<List<Batch>>(self.client.get(url)).await?.data)
    }

    pub(super) async fn newest(&self) -> anyhow::Result<Option<String>> {
        Ok(self.batches(None, 1).await?.pop().map(|batch| batch.id))
    }

    pub(super) async fn create(&self, request: &Value, idempotency_key: &str) -> anyhow::Result<Batch> {
        let create = self.client.post(url(&["v1", "batches"])?);
        read(create.header("idempotency-key", idempotency_key).json(request)).await
    }

    pub(super) async fn cancel(&self, id: &str) -> anyhow::Result<Batch> {
        read(self.client.post(url(&["v1", "batches", id, "cancel"])?)).await
    }

    /// Uploads a form; gives the file's id.
    pub(super) async fn upload(&self, content_type: &str, form: Body) -> anyhow::Result<String> {
        #[derive(serde::Deserialize)]
        struct Uploaded {
            id: String,
        }
        let upload = self.client.post(url(&["v1", "files"])?).header("content-type", content_type).body(form);
        Ok(read::<Uploaded>(upload).await?.id)
    }

    pub(super) async fn delete_file(&self, id: &str) -> anyhow::Result<()> {
        answered(self.client.delete(url(&["v1", "files", id])?)).await.map(drop)
    }

    /// A file's bytes, as they come.
    pub(super) async fn content(&self, id: &str) -> anyhow::Result<Response> {
        answered(self.client.get(url(&["v1", "files", id, "content"])?)).await
    }
}

/// Each part is written so that it stays one part.
fn url(parts: &[&str]) -> anyhow::Result<reqwest::Url> {
    let mut url = reqwest::Url::parse("http://lobstah")?;
    url.path_segments_mut().map_err(|()| anyhow!("no path"))?.extend(parts);
    Ok(url)
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    Ok(answered(request).await?.json().await?)
}

/// An answer that is no error; the error's own words otherwise.
async fn answered(request: RequestBuilder) -> anyhow::Result<Response> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        // No socket, or one that a killed node left behind.
        Err(error) if error.is_connect() => return Err(NoNode.into()),
        Err(error) => return Err(error).context("the node that runs here does not answer"),
    };
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let said: Value = answer.json().await.unwrap_or_default();
    let message = said["error"]["message"].as_str();
    Err(match message {
        Some(message) => anyhow!("{message}"),
        None => anyhow!("the node that runs here answers with status {status}"),
    })
}
