//! Where the chains end, noted beside the ledger.
//!
//! A log that lost its end, or an older copy put in the ledger's place, is sound in itself: only a note
//! that lies elsewhere can tell. After each commit that was flushed the ends are written to
//! `<ledger>-head`, without a flush of their own: so the note may be behind the ledger, and never ahead
//! of it unless something was lost. A note that is ahead when the ledger is opened is kept as
//! `<ledger>-lost`, for the audit to find until the owner removes it.

use crate::append::Head;
use std::{
    ffi::OsString,
    fs,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The ends of both chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) entries: Head,
    pub(crate) journal: Head,
}

impl Heads {
    /// One line of a fixed length, so that it is overwritten in one piece.
    fn to_line(self) -> String {
        let Heads { entries, journal } = self;
        let chains = [entries.chain, journal.chain].map(hex::encode);
        format!("{:020} {} {:020} {}\n", entries.seq, chains[0], journal.seq, chains[1])
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let mut head = || {
            let seq = words.next()?.parse().ok()?;
            let mut chain = [0; 32];
            hex::decode_to_slice(words.next()?, &mut chain).ok()?;
            Some(Head { seq, chain })
        };
        Some(Heads { entries: head()?, journal: head()? })
    }
}

/// The file that the writer keeps. Without it nothing but the note is missing, so its errors are nobody's.
pub(crate) struct HeadFile {
    path: PathBuf,
    file: Option<fs::File>,
}

impl HeadFile {
    pub(crate) fn of(ledger: &Path) -> Self {
        Self { path: beside(ledger, "-head"), file: None }
    }

    pub(crate) fn note(&mut self, heads: Heads) {
        if self.write(&heads.to_line()).is_err() {
            self.file = None;
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_private(&self.path)?),
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(line.as_bytes())
    }
}

/// What was noted last. To be read before the ledger is: others may be writing both.
pub(crate) fn noted(ledger: &Path) -> Option<Heads> {
    read(&beside(ledger, "-head"))
}

/// What was noted before something was lost, and where that stands.
pub(crate) fn noted_as_lost(ledger: &Path) -> Option<(PathBuf, Heads)> {
    let path = beside(ledger, "-lost");
    let heads = read(&path)?;
    Some((path, heads))
}

fn read(path: &Path) -> Option<Heads> {
    Heads::from_line(&fs::read_to_string(path).ok()?)
}

/// Keeps a note that is ahead of the ledger, before the writer overwrites it. The first loss is the one
/// that counts.
pub(crate) fn keep_if_ahead(ledger: &Path, noted: Heads, found: Heads) {
    let ahead = noted.entries.seq > found.entries.seq || noted.journal.seq > found.journal.seq;
    let lost = beside(ledger, "-lost");
    if ahead && !lost.exists() {
        // Without it the note alone is missing, as after any other loss.
        let _ = open_private(&lost).and_then(|mut file| file.write_all(noted.to_line().as_bytes()));
    }
}

/// A file with a name of its own beside the ledger.
pub(crate) fn beside(ledger: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(ledger);
    name.push(suffix);
    name.into()
}

/// Opens a file for our eyes only, making it if it is not there.
pub(crate) fn open_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(entries: u64, journal: u64) -> Heads {
        Heads {
            entries: Head { seq: entries, chain: [1; 32] },
            journal: Head { seq: journal, chain: [2; 32] },
        }
    }

    #[test]
    fn a_note_is_read_back_and_overwritten_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let mut file = HeadFile::of(&ledger);
        for n in [9, 10_000_000_000, 3] {
            file.note(heads(n, 2 * n));
            assert_eq!(noted(&ledger), Some(heads(n, 2 * n)));
        }
        fs::write(beside(&ledger, "-head"), "torn").unwrap();
        assert_eq!(noted(&ledger), None);
    }

    #[test]
    fn a_note_that_is_ahead_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        keep_if_ahead(&ledger, heads(5, 9), heads(5, 9));
        keep_if_ahead(&ledger, heads(5, 9), heads(6, 10));
        assert_eq!(noted_as_lost(&ledger), None);
        keep_if_ahead(&ledger, heads(5, 9), heads(5, 8));
        keep_if_ahead(&ledger, heads(7, 9), heads(5, 8));
        assert_eq!(noted_as_lost(&ledger).unwrap().1, heads(5, 9));
    }
}
