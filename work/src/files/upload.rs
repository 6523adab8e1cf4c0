//! An upload: bytes to the disk as they come, in constant memory.

use super::{
    File, Files, ID_PREFIX, NewRow, Purpose, insert, part_of, path_of,
    schema::{BYTES, COLUMNS, COUNT, read},
};
use crate::{
    batches::check::Checker,
    handle::Work,
    id,
    keeping::Kept,
    limits::{BATCH_FILE_LIFE_MS, FILE_LIFE_SECONDS, FILE_NAME_BYTES_MAX, FILES_MAX, UPLOADS_MAX},
    step::{self, Step},
    store::{connection::sync_folder_of, error::StoreError, tx::Tx},
};
use protocol::Timestamp;
use rusqlite::params;
use tokio::{fs, io::AsyncWriteExt};

/// What is said of a file before its bytes come.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What its tool calls it.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// `expires_after[seconds]`, from when it is complete.
    pub expires_after_seconds: Option<u64>,
}

/// Why an upload does not become a file. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// 400, `param` `file`.
    #[error("a file name has 1 to {FILE_NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
    /// 400, `param` `purpose`.
    #[error("files for `{}` are written here and cannot be uploaded", .0.as_str())]
    BadPurpose(Purpose),
    /// 400, `param` `expires_after`.
    #[error(
        "`expires_after[seconds]` is between {} and {}", FILE_LIFE_SECONDS.start(), FILE_LIFE_SECONDS.end()
    )]
    BadExpiry,
    /// 413.
    #[error("a file has at most {bytes_max} bytes, split it")]
    TooLarge {
        /// The most.
        bytes_max: u64,
    },
    /// 500, and to be tried again in vain.
    #[error("the files kept here would have more than {bytes_max} bytes, delete some")]
    NoRoom {
        /// The most that all files together may have.
        bytes_max: u64,
    },
    /// 429.
    #[error("too many uploads run at once, come again")]
    TooMany,
    /// 500.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for UploadError {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A file that is not complete. Dropped, it leaves nothing behind.
pub struct Upload {
    work: Work,
    id: String,
    new: NewFile,
    file: fs::File,
    bytes: u64,
    room: Room,
    checker: Option<Checker>,
    /// As long as it lives, the sweep lets the upload be.
    _kept: Kept,
}

#[derive(Clone, Copy)]
struct Room {
    one: u64,
    all: u64,
    left: u64,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Once it is complete there is none. Its row is removed by the next sweep.
        let _ = std::fs::remove_file(part_of(self.work.files_folder(), &self.id));
    }
}

impl Files<'_> {
    /// Begins an upload of at most `bytes_max` bytes (`[files] max`).
    pub async fn upload(self, new: NewFile, bytes_max: u64) -> Result<Upload, UploadError> {
        check(&new)?;
        let id = id::random(ID_PREFIX)?;
        let _kept = self.work.uploads().begin(&id, UPLOADS_MAX).ok_or(UploadError::TooMany)?;
        let used = self.begin(&id).await?;
        let all = self.work.files_bytes_max();
        let room = Room { one: bytes_max, all, left: all.saturating_sub(used) };
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(part_of(self.work.files_folder(), &id)).await?;
        let checker = (new.purpose == Purpose::Batch).then(|| Checker::new(None));
        Ok(Upload { work: self.work.clone(), id, new, file, bytes: 0, room, checker, _kept })
    }

    /// Says that an upload begins. Gives the bytes of all files.
    async fn begin(self, id: &str) -> Result<u64, UploadError> {
        const INSERT: &str = "INSERT INTO upload VALUES (?1, ?2)";
        let name = id.to_owned();
        let begin = move |tx: &Tx<'_>| {
            if tx.number(COUNT, [])? >= FILES_MAX {
                return Ok(Err(UploadError::TooMany));
            }
            tx.run(INSERT, params![name, tx.me()])?;
            Ok(Ok(tx.number(BYTES, [])?))
        };
        self.work.write(Step::UploadBegun, begin).await
    }
}

impl Upload {
    /// Says anew what the file is: a form may tell it behind the bytes. Only what was begun as a batch's
    /// input is checked as one.
    pub fn amend(&mut self, new: NewFile) -> Result<(), UploadError> {
        check(&new)?;
        self.checker = self.checker.take().filter(|_| new.purpose == Purpose::Batch);
        self.new = new;
        Ok(())
    }

    /// Takes the next bytes, cut anywhere.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), UploadError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.room.one {
            return Err(UploadError::TooLarge { bytes_max: self.room.one });
        }
        if self.bytes > self.room.left {
            return Err(UploadError::NoRoom { bytes_max: self.room.all });
        }
        if let Some(checker) = &mut self.checker {
            checker.push(chunk, |_| {});
        }
        Ok(self.file.write_all(chunk).await?)
    }

    /// The bytes are complete. Durable when it resolves.
    pub async fn finish(mut self, now: Timestamp) -> Result<File, UploadError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let folder = self.work.files_folder();
        let path = path_of(folder, &self.id);
        fs::rename(part_of(folder, &self.id), &path).await?;
        let named = path.clone();
        let synced = tokio::task::spawn_blocking(move || sync_folder_of(&named)).await;
        synced.map_err(|_| StoreError::Closed)??;
        step::done(Step::UploadNamed);
        let kept = self.keep(now).await;
        if matches!(kept, Err(UploadError::NoRoom { .. })) {
            // After any other error the row may be there all the same: then the sweep decides.
            let _ = fs::remove_file(&path).await;
        }
        kept
    }

    async fn keep(&mut self, now: Timestamp) -> Result<File, UploadError> {
        let row = NewRow {
            id: self.id.clone(),
            purpose: self.new.purpose,
            bytes: self.bytes,
            created_at: now,
            expires_at: expiry(&self.new, now),
            name: self.new.name.clone(),
            checked: self.checker.take().map(first_problem),
        };
        let bytes_max = self.room.all;
        let keep = move |tx: &Tx<'_>| {
            // Others may have come to their end meanwhile.
            if tx.number(BYTES, [])? + row.bytes > bytes_max {
                return Ok(Err(UploadError::NoRoom { bytes_max }));
            }
            insert(tx, &row)?;
            let file = tx.one(&format!("SELECT {COLUMNS} FROM file WHERE id = ?1"), [&row.id], read)?;
            Ok(file.ok_or(UploadError::Store(StoreError::Closed)))
        };
        self.work.write(Step::FileKept, keep).await
    }
}

fn check(new: &NewFile) -> Result<(), UploadError> {
    let fits = (1..=FILE_NAME_BYTES_MAX).contains(&new.name.len());
    if !fits || new.name.chars().any(char::is_control) {
        return Err(UploadError::BadName);
    }
    if !new.purpose.can_be_uploaded() {
        return Err(UploadError::BadPurpose(new.purpose));
    }
    match new.expires_after_seconds {
        Some(seconds) if !FILE_LIFE_SECONDS.contains(&seconds) => Err(UploadError::BadExpiry),
        _ => Ok(()),
    }
}

/// OpenAI's rule: input files of batches live 30 days, all others until they are deleted.
fn expiry(new: &NewFile, now: Timestamp) -> Option<Timestamp> {
    let usual = (new.purpose == Purpose::Batch).then_some(BATCH_FILE_LIFE_MS);
    let life = new.expires_after_seconds.map(|seconds| seconds * 1000).or(usual)?;
    Some(Timestamp::from_millis(now.as_millis() + life))
}

fn first_problem(checker: Checker) -> Option<String> {
    let problem = checker.finish(|_| {}).problems.into_iter().next()?;
    Some(match problem.line {
        Some(line) => format!("line {line}: {}", problem.message),
        None => problem.message,
    })
}
