//! What a batch wrote, where its owner wants it.

use super::{earlier::Chain, node::RunningNode};
use anyhow::Context;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{fs, io::AsyncWriteExt};
use work::batches::{Batch, BatchStatus};

/// Whether every line has a good answer.
pub(super) fn all_answered(batch: &Batch) -> bool {
    let counts = batch.request_counts;
    batch.status == BatchStatus::Completed && counts.completed == counts.total
}

/// `answers.jsonl` → `answers.errors.jsonl`
pub(super) fn errors_beside(output: &Path) -> PathBuf {
    output.with_extension("errors.jsonl")
}

/// Copies the answers of a batch that ran, and of those that it goes on from, to `output`, and its errors beside
/// it; where there are none, what an earlier run left there is removed, so that both files are of this run.
/// Gives how many answers are of earlier batches.
pub(super) async fn keep(
    node: &RunningNode,
    batch: &Batch,
    input: &Path,
    output: &Path,
) -> anyhow::Result<u64> {
    if batch.status == BatchStatus::Failed {
        return Ok(0);
    }
    let chain = Chain::of(node, batch).await?;
    if chain.is_long() {
        write(output, async |file| chain.join(node, input, file).await).await?;
    } else {
        copy(node, batch.output_file_id.as_deref(), output).await?;
    }
    keep_errors(node, batch, output).await?;
    Ok(chain.answered_before())
}

async fn keep_errors(node: &RunningNode, batch: &Batch, output: &Path) -> anyhow::Result<()> {
    let errors = errors_beside(output);
    if batch.error_file_id.is_some() {
        return copy(node, batch.error_file_id.as_deref(), &errors).await;
    }
    match fs::remove_file(&errors).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error)
            .with_context(|| format!("{} is of an earlier run and cannot be removed", errors.display())),
        _ => Ok(()),
    }
}

/// A file of the node; without one, an empty one.
async fn copy(node: &RunningNode, id: Option<&str>, to: &Path) -> anyhow::Result<()> {
    write(to, async |file| {
        let Some(id) = id else { return Ok(()) };
        let content = node.content(id).await;
        let mut content =
            content.context("what the batch wrote is not there any more; --again runs it anew")?;
        while let Some(chunk) = content.chunk().await? {
            file.write_all(&chunk).await?;
        }
        Ok(())
    })
    .await
}

/// Writes it beside and renames it: whoever looks sees all of it or none.
async fn write(
    to: &Path,
    content: impl AsyncFnOnce(&mut fs::File) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = async {
        let mut file = fs::File::create(&part).await?;
        content(&mut file).await?;
        file.flush().await?;
        file.sync_all().await?;
        anyhow::Ok(fs::rename(&part, to).await?)
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&part).await;
    }
    written.with_context(|| format!("{} cannot be written", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_beside_the_answers() {
        let beside = |path: &str| errors_beside(Path::new(path)).display().to_string();
        assert_eq!(beside("a/questions.out.jsonl"), "a/questions.out.errors.jsonl");
        assert_eq!(beside("answers"), "answers.errors.jsonl");
    }
}
