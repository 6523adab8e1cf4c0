//! What others hold: the store, and its parts.

use crate::{
    keeping::Keeping,
    limits::{FILES_BYTES_MAX, QUEUE_ERRANDS_MAX, QUEUE_READS_MAX},
    step::Step,
    store::{
        actor::Actor,
        connection::{self, OpenError},
        errand::{Asked, Errand},
        error::StoreError,
        instance::Instance,
        tx::{Tx, View},
        writer::Writer,
    },
};
use rusqlite::Connection;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::oneshot;

type Question = Box<dyn FnOnce(&Connection) + Send>;

const STORE_NAME: &str = "work.db";
const FILES_NAME: &str = "files";

/// The work of this node. A clone is the same store.
///
/// Dropping the last clone closes it, which finishes what was queued. What a future was asked to write
/// may be written all the same if it is dropped.
#[derive(Clone)]
pub struct Work {
    open: Arc<Open>,
}

struct Open {
    path: PathBuf,
    files: PathBuf,
    files_bytes_max: u64,
    me: i64,
    uploads: Keeping,
    batches: Keeping,
    // Closed in this order: SQLite removes the write-ahead log only if the last connection to go
    // is one that may write.
    reader: Actor<Question>,
    writer: Actor<Box<dyn Errand>>,
}

impl Work {
    /// Opens `work.db` and `files/` in `home` (`LOBSTAH_HOME`), making or migrating them where needed.
    /// Call [`Work::sweep`] next: it takes up what dead processes held.
    pub fn open(home: &Path) -> Result<Self, OpenError> {
        Self::open_with_room(home, FILES_BYTES_MAX)
    }

    /// The same where all files together may have `files_bytes_max` bytes.
    pub fn open_with_room(home: &Path, files_bytes_max: u64) -> Result<Self, OpenError> {
        let (path, files) = (home.join(STORE_NAME), home.join(FILES_NAME));
        make_private_folder(&files).map_err(|source| OpenError::Create { path: files.clone(), source })?;
        let mut conn = connection::open_writing(&path)?;
        let me = Instance::register(&mut conn, &path).map_err(|e| OpenError::new(&path, e))?;
        let me = me.map_err(|source| OpenError::Create { path: path.clone(), source })?;
        let id = me.id;
        let reading = connection::open_reading(&path).map_err(|e| OpenError::new(&path, e))?;
        let writer = Actor::start("work-writer", QUEUE_ERRANDS_MAX, move |inbox| {
            Writer::new(conn, inbox, me).run();
        });
        let reader = Actor::start("work-reader", QUEUE_READS_MAX, move |mut inbox| {
            while let Some(question) = inbox.wait() {
                let question: Question = question;
                question(&reading);
            }
        });
        let writer = writer.map_err(OpenError::Thread)?;
        let reader = reader.map_err(OpenError::Thread)?;
        let (me, uploads, batches) = (id, Keeping::default(), Keeping::default());
        let open = Open { path, files, files_bytes_max, me, uploads, batches, reader, writer };
        Ok(Self { open: Arc::new(open) })
    }

    /// Takes no more work, finishes what was queued and waits until it is on the disk. Every clone
    /// is closed by it; a second call does nothing.
    pub fn close(&self) {
        self.open.reader.close();
        self.open.writer.close();
    }

    pub(crate) fn files_bytes_max(&self) -> u64 {
        self.open.files_bytes_max
    }

    /// The number of this process.
    pub(crate) fn me(&self) -> i64 {
        self.open.me
    }

    /// Uploads that this process takes in.
    pub(crate) fn uploads(&self) -> &Keeping {
        &self.open.uploads
    }

    /// Batches whose lines this process reads, or whose files it writes.
    pub(crate) fn batches_kept(&self) -> &Keeping {
        &self.open.batches
    }

    /// Where the bytes of files are.
    pub(crate) fn files_folder(&self) -> &Path {
        &self.open.files
    }

    /// A connection of one's own for what takes long. It only reads.
    pub(crate) fn connection(&self) -> Result<Connection, StoreError> {
        Ok(connection::open_reading(&self.open.path)?)
    }

    /// Has something written; resolves when it is durable.
    pub(crate) async fn write<T, E>(
        &self,
        step: Step,
        work: impl FnMut(&Tx<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (asked, answer) = Asked::new(step, work);
        let sent = self.open.writer.send(Box::new(asked)).await;
        let answered = if sent.is_ok() { answer.await.ok() } else { None };
        answered.unwrap_or_else(|| Err(StoreError::Closed.into()))
    }

    /// Has something read, at one moment. It should be quick: others wait.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |conn| {
            // Whoever no longer waits is not an error.
            let _ = reply.send(at_one_moment(conn, ask));
        });
        self.open.reader.send(question).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?.map_err(StoreError::from)
    }
}

/// Several statements see the same rows.
pub(crate) fn at_one_moment<T>(
    conn: &Connection,
    ask: impl FnOnce(View<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = conn.unchecked_transaction()?;
    let said = ask(View(&tx));
    tx.finish()?;
    said
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
