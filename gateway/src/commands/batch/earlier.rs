//! Batches of one file that go on from each other: what an earlier one answered is not asked again, and their
//! answers are joined.

use super::node::RunningNode;
use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt};
use std::{collections::HashSet, io, path::Path};
use tokio::{
    fs::File,
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader},
};
use tokio_util::io::StreamReader;
use work::batches::Batch;

/// In a batch's metadata: which batch it goes on from.
pub(super) const REST_OF: &str = "lobstah_rest_of";

/// So many batches go on from each other and no more.
const CHAIN_MAX: usize = 100;

/// A batch, and those that it goes on from, the newest first.
pub(super) struct Chain(Vec<Batch>);

/// Lines of a file of this node, or of one on the disk.
type Lines = Box<dyn AsyncBufRead + Send + Unpin>;

/// The next line of what a batch answered.
struct Head {
    lines: Lines,
    /// Its `custom_id`, and the line with its end.
    next: Option<(String, Vec<u8>)>,
}

impl Chain {
    pub(super) async fn of(node: &RunningNode, newest: &Batch) -> anyhow::Result<Self> {
        let mut chain = vec![newest.clone()];
        while let Some(before) = chain.last().and_then(rest_of) {
            ensure!(chain.len() < CHAIN_MAX, "too many batches go on from each other; --again begins anew");
            chain.push(node.progress(before).await?.batch);
        }
        Ok(Self(chain))
    }

    /// Whether there are earlier ones.
    pub(super) fn is_long(&self) -> bool {
        self.0.len() > 1
    }

    /// How many lines the earlier ones answered.
    pub(super) fn answered_before(&self) -> u64 {
        self.0.iter().skip(1).map(|batch| batch.request_counts.completed).sum()
    }

    /// The `custom_id`s that have a good answer.
    pub(super) async fn answered(&self, node: &RunningNode) -> anyhow::Result<HashSet<String>> {
        let mut ids = HashSet::new();
        for mut head in self.heads(node).await? {
            while let Some((id, _)) = head.next.take() {
                ids.insert(id);
                head.read().await?;
            }
        }
        Ok(ids)
    }

    /// Writes all answers in the order of the input.
    pub(super) async fn join(&self, node: &RunningNode, input: &Path, to: &mut File) -> anyhow::Result<()> {
        let mut heads = self.heads(node).await?;
        let mut asked = Head::of(Box::new(BufReader::new(File::open(input).await?))).await?;
        while let Some((id, _)) = asked.next.take() {
            let found = heads.iter_mut().find(|head| head.next.as_ref().is_some_and(|(next, _)| *next == id));
            if let Some(head) = found {
                let (_, line) = head.next.take().unwrap_or_default();
                to.write_all(&line).await?;
                head.read().await?;
            }
            asked.read().await?;
        }
        Ok(())
    }

    async fn heads(&self, node: &RunningNode) -> anyhow::Result<Vec<Head>> {
        let mut heads = Vec::new();
        for file in self.0.iter().filter_map(|batch| batch.output_file_id.as_deref()) {
            heads.push(Head::of(content(node, file).await?).await?);
        }
        Ok(heads)
    }
}

impl Head {
    async fn of(lines: Lines) -> io::Result<Self> {
        let mut head = Self { lines, next: None };
        head.read().await?;
        Ok(head)
    }

    /// Takes in the next line that has an id.
    async fn read(&mut self) -> io::Result<()> {
        #[derive(serde::Deserialize)]
        struct Line {
            custom_id: String,
        }
        loop {
            let mut line = Vec::new();
            if self.lines.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            if let Ok(Line { custom_id }) = serde_json::from_slice(&line) {
                if line.last() != Some(&b'\n') {
                    line.push(b'\n');
                }
                self.next = Some((custom_id, line));
                return Ok(());
            }
        }
    }
}

/// The lines of the input that have no answer yet, as a body to send.
pub(super) async fn unanswered(
    input: &Path,
    answered: HashSet<String>,
) -> io::Result<impl futures::Stream<Item = io::Result<Vec<u8>>> + Send + 'static> {
    let head = Head::of(Box::new(BufReader::new(File::open(input).await?))).await?;
    Ok(futures::stream::try_unfold(head, move |mut head| {
        let next = head.next.take();
        async move {
            head.read().await?;
            io::Result::Ok(next.map(|next| (next, head)))
        }
    })
    .try_filter_map(move |(id, line)| {
        let line = (!answered.contains(&id)).then_some(line);
        futures::future::ready(Ok(line))
    }))
}

async fn content(node: &RunningNode, file: &str) -> anyhow::Result<Lines> {
    let content = node.content(file).await;
    let content = content.context("what the batch wrote is not there any more; --again runs it anew")?;
    let bytes = content.bytes_stream().map(|chunk| chunk.map_err(io::Error::other));
    Ok(Box::new(StreamReader::new(bytes)))
}

fn rest_of(batch: &Batch) -> Option<&str> {
    batch.metadata.as_ref().and_then(|metadata| metadata.get(REST_OF))
}
