//! Tidying: what dead processes held is taken up, what is over is forgotten, room is given back.

use crate::{
    batches, files,
    handle::Work,
    jobs, lent,
    limits::FREED_PAGES_A_SWEEP,
    step::Step,
    store::{error::StoreError, tx::Tx},
    tasks,
};
use protocol::Timestamp;
use std::io;
use tokio::fs;

/// Whether a sweep got to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// All was tidied.
    All,
    /// Rows of ended batches are left: call again soon. One sweep is bounded, since others wait.
    Some,
}

impl Work {
    /// To be called after [`Work::open`], and then every second or so. Follow it with
    /// [`tasks::Tasks::adopt`].
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError> {
        let mine = self.uploads().names();
        let sweep = move |tx: &Tx<'_>| {
            let dead = tx.dead()?;
            lent::sweep(tx, &dead, now)?;
            tasks::sweep(tx, &dead, now)?;
            jobs::sweep(tx, now)?;
            let more = batches::sweep(tx, &dead, now)?;
            let lost = files::sweep(tx, &dead, &mine, now)?;
            dead.iter().try_for_each(|id| tx.run("DELETE FROM instance WHERE id = ?1", [id]).map(|_| ()))?;
            tx.free_pages(FREED_PAGES_A_SWEEP)?;
            Ok(Ok::<_, StoreError>((more, lost)))
        };
        let (more, lost) = self.write(Step::Swept, sweep).await?;
        self.remove_lost_uploads(lost).await?;
        self.unlink_deleted().await?;
        Ok(if more { Swept::Some } else { Swept::All })
    }

    async fn remove_lost_uploads(&self, lost: Vec<String>) -> Result<(), StoreError> {
        if lost.is_empty() {
            return Ok(());
        }
        let folder = self.files_folder();
        for path in lost.iter().flat_map(|id| [files::part_of(folder, id), files::path_of(folder, id)]) {
            match fs::remove_file(path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let forget = move |tx: &Tx<'_>| {
            lost.iter().try_for_each(|id| tx.run("DELETE FROM upload WHERE id = ?1", [id]).map(|_| ()))?;
            Ok(Ok(()))
        };
        self.write(Step::Swept, forget).await
    }
}
