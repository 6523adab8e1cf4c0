//! Beginning with a file, once: the same content with the same options is the same batch, and one that ended
//! without all answers is gone on from.

use super::{
    What,
    earlier::{self, Chain, REST_OF},
    node::RunningNode,
    outcome::all_answered,
};
use anyhow::{Context, bail};
use futures::{Stream, StreamExt, stream};
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

/// And which file, whatever the options.
const FILE: &str = "lobstah_file";

const CHUNK_BYTES: usize = 64 * 1024;

const BOUNDARY: &str = "lobstah-batch-3f6cbb1e0a5c4f0f";

/// A file that is to be submitted.
pub(super) struct Submission {
    file: PathBuf,
    endpoint: Endpoint,
    window: String,
    /// Of the batch.
    metadata: serde_json::Map<String, Value>,
    /// Of the content.
    content: String,
    /// Of content and options.
    run: String,
    again: bool,
}

/// A batch, and whether it is new.
pub(super) enum Begun {
    Now(Box<Batch>),
    Before(Box<Batch>),
}

/// What is to be done about a file.
enum Start<'b> {
    /// All of it is asked.
    Whole,
    /// This runs, or ran to its end.
    GoOn(&'b Batch),
    /// This has ended, and some lines have no answer.
    Rest(&'b Batch),
    /// This is still being cancelled.
    NotYet(&'b Batch),
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
        let content = hash_of(&what.file).await.with_context(cannot)?;
        let run = Sha256::new().chain_update(content).chain_update(options).finalize();
        let (content, run) = (hex::encode(content), hex::encode(run));
        metadata.insert(RUN.to_owned(), json!(run));
        metadata.insert(FILE.to_owned(), json!(content));
        let endpoint = endpoint_of(&what.file).await.with_context(cannot)?;
        Ok(Self { file: what.file.clone(), endpoint, window, metadata, content, run, again: what.again })
    }

    /// Finds the batch that was begun with this before, or begins it.
    pub(super) async fn begin(mut self, node: &RunningNode) -> anyhow::Result<Begun> {
        let before = self.before(node).await?;
        let input = match self.start(&before) {
            Start::GoOn(batch) => return Ok(Begun::Before(Box::new(batch.clone()))),
            Start::NotYet(batch) => {
                bail!("{} is of this file and is being cancelled; try again when it is over", batch.id)
            }
            Start::Whole => self.upload_whole(node).await?,
            Start::Rest(batch) => {
                self.metadata.insert(REST_OF.to_owned(), json!(batch.id));
                self.upload_rest(node, batch).await?
            }
        };
        let request = json!({
            "input_file_id": input,
            "endpoint": self.endpoint.path(),
            "completion_window": self.window,
            "metadata": self.metadata,
            // The answers are copied to where they are wanted; these are for running it once more.
            "output_expires_after": {"anchor": "created_at", "seconds": FILE_LIFE_SECONDS.end()},
        });
        let newest = |batches: &[Batch]| batches.first().map(|batch| batch.id.clone());
        let key = format!("{}-{}", self.run, newest(&before).as_deref().unwrap_or("first"));
        match node.create(&request, &key).await {
            Ok(batch) => Ok(Begun::Now(Box::new(batch))),
            Err(error) => {
                // It is in no batch, and nobody else knows it.
                let _ = node.delete_file(&input).await;
                // The same command may have run at the same time, and was first.
                let now = self.before(node).await?;
                if newest(&now) == newest(&before) {
                    return Err(error);
                }
                let first = now.into_iter().next().map(Box::new);
                first.map(Begun::Before).ok_or(error)
            }
        }
    }

    /// All batches that were begun with this content, the newest first.
    async fn before(&self, node: &RunningNode) -> anyhow::Result<Vec<Batch>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = node.batches(after.as_deref(), BATCHES_LISTED_MAX).await?;
            let full = page.len() == BATCHES_LISTED_MAX as usize;
            after = page.last().map(|batch| batch.id.clone());
            found.extend(page.into_iter().filter(|batch| says(batch, FILE, &self.content)));
            if !full {
                return Ok(found);
            }
        }
    }

    fn start<'b>(&self, before: &'b [Batch]) -> Start<'b> {
        use BatchStatus::{Cancelled, Cancelling, Completed, Expired, Failed};
        if self.again {
            return Start::Whole;
        }
        let is_same = |batch: &&Batch| says(batch, RUN, &self.run);
        let over =
            |batch: &&Batch| matches!(batch.status, Cancelled | Cancelling | Completed | Expired | Failed);
        if let Some(runs) = before.iter().find(is_same).filter(|batch| !over(batch)) {
            return Start::GoOn(runs);
        }
        match before.first() {
            Some(newest) if all_answered(newest) => Start::GoOn(newest),
            Some(newest) => match newest.status {
                Completed if is_same(&newest) => Start::GoOn(newest),
                Completed | Expired | Cancelled => Start::Rest(newest),
                Cancelling => Start::NotYet(newest),
                _ => Start::Whole,
            },
            None => Start::Whole,
        }
    }

    async fn upload_whole(&self, node: &RunningNode) -> anyhow::Result<String> {
        let file = File::open(&self.file).await?;
        let chunks = stream::try_unfold(file, |mut file| async move {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let read = file.read_buf(&mut chunk).await?;
            io::Result::Ok((read > 0).then_some((chunk, file)))
        });
        self.upload(node, chunks).await
    }

    /// The lines that neither this batch nor those before it answered.
    async fn upload_rest(&self, node: &RunningNode, newest: &Batch) -> anyhow::Result<String> {
        let answered = Chain::of(node, newest).await?.answered(node).await?;
        eprintln!(
            "{} lines have their answers from {} and before; the others are asked",
            answered.len(),
            newest.id
        );
        let rest = earlier::unanswered(&self.file, answered).await?;
        self.upload(node, rest).await
    }

    async fn upload(
        &self,
        node: &RunningNode,
        content: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<String> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.replace(['\\', '"', '\r', '\n'], "_");
        let before = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        let after = format!("\r\n--{BOUNDARY}--\r\n");
        let part = |text: String| stream::iter([io::Result::Ok(text.into_bytes())]);
        let form = part(before).chain(content).chain(part(after));
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        node.upload(&content_type, Body::wrap_stream(form)).await
    }
}

/// Whether a batch's metadata has this.
fn says(batch: &Batch, key: &str, value: &str) -> bool {
    batch.metadata.as_ref().and_then(|metadata| metadata.get(key)) == Some(value)
}

/// SHA-256 of a file's content.
async fn hash_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path).await?;
    let mut content = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(content.finalize().into());
        }
        content.update(chunk.get(..read).unwrap_or_default());
    }
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
