//! `strangers.jsonl`: the last good roster, so that a restart begins warm and commands see what a
//! running node found.
//!
//! One stranger a line:
//! `{"announcement":{…},"signature":"…","source":"nostr"|"tracker","nostr":{…}?,"proven":true?}`. What
//! is read is checked anew, signature and all, so the file is no way around a check. Several processes
//! may share it: whoever writes merges with what is there, under a lock.

mod line;

use crate::{
    event::{self, Checked, Rules},
    roster::{Roster, Snapshot},
    shared_file::{self, Readers},
};
use line::Line;
use protocol::{NodeId, Timestamp};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// Strangers that are written down: those that served us first, then the newest. Further lines are
/// not read.
pub const FILE_ENTRIES_MAX: usize = 10_000;

/// What would make the file longer is not written; what is beyond it is not read.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read or written", path.display())]
pub struct RosterFileError {
    /// The file.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

/// The file.
#[derive(Clone, Debug)]
pub struct RosterFile {
    path: PathBuf,
}

/// What stood in the file and is good.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Strangers, checked, and whether they served us; in the order of the file.
    pub strangers: Vec<(Checked, bool)>,
    /// Lines that are malformed, forged or too old.
    pub skipped: usize,
}

impl RosterFile {
    /// Where the file is, or will be.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks what `wanted` wants, by node and time of the announcement: what is known need
    /// not be checked again ([`Roster::wants`]). Nothing if there is no file.
    pub fn load(
        &self,
        now: Timestamp,
        rules: Rules,
        wanted: impl Fn(&NodeId, Timestamp) -> bool,
    ) -> Result<Loaded, RosterFileError> {
        let mut loaded = Loaded::default();
        for line in self.lines()? {
            let Some(line) = line else {
                loaded.skipped += 1;
                continue;
            };
            if !wanted(&line.node(), line.announced_at()) {
                continue;
            }
            let proven = line.proven;
            match event::from_file(line.signed, line.publication, now, rules) {
                Ok(checked) => loaded.strangers.push((checked, proven)),
                Err(_) => loaded.skipped += 1,
            }
        }
        Ok(loaded)
    }

    /// Writes down what a roster knows, merged with what other processes wrote: the newest announcement
    /// of a node stays, and what the roster saw go goes. Gives how many strangers the file has now.
    pub fn save<A>(&self, snapshot: &Snapshot<A>, now: Timestamp) -> Result<usize, RosterFileError> {
        let _lock = shared_file::lock(&self.path).map_err(|e| self.io(e))?;
        let mut strangers: BTreeMap<NodeId, Stranger> = BTreeMap::new();
        for line in self.lines()?.into_iter().flatten() {
            merge(&mut strangers, line.node(), Stranger::of_line(&line));
        }
        for kept in &snapshot.kept {
            merge(&mut strangers, kept.entry.node, Stranger::of_entry(kept));
        }
        for (node, announced_at) in &snapshot.gone {
            if strangers.get(node).is_some_and(|known| known.announced_at <= *announced_at) {
                strangers.remove(node);
            }
        }
        strangers.retain(|_, stranger| now <= stranger.lives_until);
        let (text, count) = written(strangers.into_values().collect());
        shared_file::replace(&self.path, Readers::OwnerOnly, text.as_bytes()).map_err(|e| self.io(e))?;
        Ok(count)
    }

    /// Every line, `None` for one that is no stranger.
    fn lines(&self) -> Result<Vec<Option<Line>>, RosterFileError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.io(e)),
        };
        let text = BufReader::new(file.take(FILE_BYTES_MAX as u64)).split(b'\n').take(FILE_ENTRIES_MAX);
        text.map(|line| line.map(|text| Line::parse(&text)).map_err(|e| self.io(e))).collect()
    }

    fn io(&self, source: io::Error) -> RosterFileError {
        RosterFileError { path: self.path.clone(), source }
    }
}

impl<A: Clone> Roster<A> {
    /// Takes in what a file kept. Gives how many strangers there are now.
    pub fn restore(&mut self, loaded: Loaded, now: Timestamp) -> usize {
        for (checked, proven) in loaded.strangers {
            let node = match &checked {
                Checked::Announced(announced) if proven => Some(announced.announcement().node),
                _ => None,
            };
            self.take_in(checked, now);
            if let Some(node) = node {
                self.prove(&node);
            }
        }
        self.len()
    }
}

/// One stranger on its way into the file.
struct Stranger {
    announced_at: Timestamp,
    lives_until: Timestamp,
    proven: bool,
    signed_json: String,
    publication: Option<event::Publication>,
}

impl Stranger {
    fn of_line(line: &Line) -> Self {
        Self {
            announced_at: line.announced_at(),
            lives_until: line.lives_until(),
            proven: line.proven,
            signed_json: line.signed.to_json(),
            publication: line.publication,
        }
    }

    fn of_entry<A>(kept: &crate::roster::Kept<A>) -> Self {
        Self {
            announced_at: kept.entry.announced_at,
            lives_until: kept.entry.expires_at,
            proven: kept.proven,
            signed_json: kept.entry.signed_json(),
            publication: kept.publication,
        }
    }
}

/// The newest announcement stays, of two of one time the later to come; who served one process served us.
fn merge(strangers: &mut BTreeMap<NodeId, Stranger>, node: NodeId, stranger: Stranger) {
    let known = strangers.remove(&node);
    let proven = stranger.proven || known.as_ref().is_some_and(|known| known.proven);
    let newest = known.filter(|known| known.announced_at > stranger.announced_at).unwrap_or(stranger);
    strangers.insert(node, Stranger { proven, ..newest });
}

/// The text of the file, and how many strangers are in it.
fn written(mut strangers: Vec<Stranger>) -> (String, usize) {
    strangers.sort_by_key(|stranger| (!stranger.proven, Reverse(stranger.announced_at)));
    let mut text = String::new();
    let mut count = 0;
    for stranger in strangers.iter().take(FILE_ENTRIES_MAX) {
        let line = line::to_text(&stranger.signed_json, stranger.publication.as_ref(), stranger.proven);
        if text.len() + line.len() <= FILE_BYTES_MAX {
            text += &line;
            count += 1;
        }
    }
    (text, count)
}
