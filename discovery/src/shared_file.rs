//! A file that several processes share: changed under a lock beside it, replaced in one rename.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Who may read the file; its owner writes it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever the process lets read its files (umask).
    AsUsual,
    /// The owner alone: mode 0600.
    OwnerOnly,
}

/// Waits for the lock of `path`, which is held until what this gives is dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, ".lock"))?;
    file.lock()?;
    Ok(file)
}

/// Written beside, flushed, renamed: a reader sees the old file or the new one. Only under the lock.
pub(crate) fn replace(path: &Path, readers: Readers, content: &[u8]) -> io::Result<()> {
    let beside = beside(path, ".new");
    // One that a crash left behind keeps its mode, so it has to go.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mode = if readers == Readers::OwnerOnly { 0o600 } else { 0o666 };
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
