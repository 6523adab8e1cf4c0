//! Beginning with a file, once: the same content with the same options is the same batch.

use super::{What, node::RunningNode};
use anyhow::Context;
use reqwest::Body;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
};
use work::{
    Endpoint,
    batches::{Batch, BatchStatus},
    limits::{BATCHES_LISTED_MAX, FILE_LIFE_SECONDS, LINE_BYTES_MAX},
};

/// In a batch's metadata: which file and options it was begun with.
const RUN: &str = "lobstah_run";

const CHUNK_BYTES: usize = 64 * 1024;

const BOUNDARY: &str = "lobstah-batch-3f6cbb1e0a5c4f0f";

/// A file that is to be submitted.
pub(super) struct Submission {
    file: PathBuf,
    endpoint: Endpoint,
    window: String,
    /// Of the batch.
    metadata: serde_json::Map<String, Value>,
    /// Of content and options.
    run: String,
    again: bool,
}

/// A batch, and whether it is new.
pub(super) enum Begun {
    Now(Box<Batch>),
    Before(Box<Batch>),
}

impl Begun {
    pub(super) fn batch(&self) -> &Batch {
        match self {
            Begun::Now(batch) | Begun::Before(batch) => batch,
        }
    }

    pub(super) fn into_batch(self) -> Batch {
        match self {
            Begun::Now(batch) | Begun::Before(batch) => *batch,
        }
    }
}

impl Submission {
    /// Looks into the file: what its lines are for, and what it is to be known by.
    pub(super) async fn read(what: &What) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be read", what.file.display());
        let mut metadata = serde_json::Map::new();
        let mut set = |key: &str, value: Option<String>| {
            metadata.extend(value.map(|value| (key.to_owned(), json!(value))));
        };
        set("max_credits", what.max_credits.map(|credits| credits.to_string()));
        set("to", what.to.clone());
        set("hedge", what.hedge.then(|| "true".to_owned()));
        let window = what.window.to_string();
        let options = json!([window, metadata]).to_string();
        let run = run_of(&what.file, &options).await.with_context(cannot)?;
        metadata.insert(RUN.to_owned(), json!(run));
        let endpoint = endpoint_of(&what.file).await.with_context(cannot)?;
        Ok(Self { file: what.file.clone(), endpoint, window, metadata, run, again: what.again })
    }

    /// Finds the batch that was begun with this before, or begins it.
    pub(super) async fn begin(self, node: &RunningNode) -> anyhow::Result<Begun> {
        let before = self.before(node).await?;
        if let Some(batch) = self.going_on(&before) {
            return Ok(Begun::Before(Box::new(batch)));
        }
        let input = self.upload(node).await?;
        let request = json!({
            "input_file_id": input,
            "endpoint": self.endpoint.path(),
            "completion_window": self.window,
            "metadata": self.metadata,
            // The answers are copied to where they are wanted; these are for running it once more.
            "output_expires_after": {"anchor": "created_at", "seconds": FILE_LIFE_SECONDS.end()},
        });
        let key = format!("{}-{}", self.run, before.len());
        match node.create(&request, &key).await {
            Ok(batch) => Ok(Begun::Now(Box::new(batch))),
            Err(error) => {
                // It is in no batch, and nobody else knows it.
                let _ = node.delete_file(&input).await;
                // The same command may have run at the same time, and was first.
                let now = self.before(node).await?;
                if now.len() == before.len() {
                    return Err(error);
                }
                let first = now.into_iter().next().map(Box::new);
                first.map(Begun::Before).ok_or(error)
            }
        }
    }

    /// All batches that were begun with this, the newest first.
    async fn before(&self, node: &RunningNode) -> anyhow::Result<Vec<Batch>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = node.batches(after.as_deref(), BATCHES_LISTED_MAX).await?;
            let full = page.len() == BATCHES_LISTED_MAX as usize;
            after = page.last().map(|batch| batch.id.clone());
            let same = |batch: &Batch| {
                batch.metadata.as_ref().and_then(|metadata| metadata.get(RUN)) == Some(self.run.as_str())
            };
            found.extend(page.into_iter().filter(same));
            if !full {
                return Ok(found);
            }
        }
    }

    /// The batch to go on with: one that runs, or ran to its end.
    fn going_on(&self, before: &[Batch]) -> Option<Batch> {
        use BatchStatus::{Cancelled, Cancelling, Expired, Failed};
        let newest = before.first()?;
        let over = matches!(newest.status, Failed | Expired | Cancelling | Cancelled);
        (!over && !self.again).then(|| newest.clone())
    }

    async fn upload(&self, node: &RunningNode) -> anyhow::Result<String> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.replace(['\\', '"', '\r', '\n'], "_");
        let before = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        let after = format!("\r\n--{BOUNDARY}--\r\n");
        let file = File::open(&self.file).await?;
        let text = io::Cursor::new(before).chain(file).chain(io::Cursor::new(after));
        let chunks = futures::stream::try_unfold(Box::pin(text), |mut text| async move {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let read = text.read_buf(&mut chunk).await?;
            Ok::<_, io::Error>((read > 0).then_some((chunk, text)))
        });
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        node.upload(&content_type, Body::wrap_stream(chunks)).await
    }
}

/// What this content with these options is known by.
async fn run_of(path: &Path, options: &str) -> io::Result<String> {
    let mut file = File::open(path).await?;
    let mut content = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        content.update(chunk.get(..read).unwrap_or_default());
    }
    let both = Sha256::new().chain_update(content.finalize()).chain_update(options);
    Ok(hex::encode(both.finalize()))
}

/// What the first line is for. A file whose lines are for several, or for none, is refused by the node,
/// which names the lines.
async fn endpoint_of(path: &Path) -> io::Result<Endpoint> {
    #[derive(serde::Deserialize)]
    struct Line {
        url: String,
    }
    let file = File::open(path).await?.take(LINE_BYTES_MAX as u64);
    let mut first = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut first).await?;
    let line: Option<Line> = serde_json::from_slice(&first).ok();
    let endpoint = line.and_then(|line| Endpoint::from_path(&line.url));
    Ok(endpoint.unwrap_or(Endpoint::ChatCompletions))
}
