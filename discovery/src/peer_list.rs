//! `peers.json`: the friends that `lobstah peers add` wrote down.
//!
//! The file is a JSON array of `{"pubkey","url","label"?}`, as the first Lobstah wrote it. Several
//! processes may share it: every change happens under a lock on a file beside it, and replaces the
//! list in one rename.

use crate::shared_file::{self, Readers};
use protocol::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use url::Url;

/// A longer list is refused: nobody has this many friends, and every one is asked what it serves.
pub const PEERS_MAX: usize = 1000;

/// A larger file is refused unread.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One friend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Its key.
    pub pubkey: NodeId,
    /// Where its worker answers.
    #[serde(serialize_with = "without_slash")]
    pub url: Url,
    /// What its owner's friend calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Why the list could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PeerListError {
    /// The file system said no.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not a JSON array of peers.
    #[error("{} is not a list of peers; mend it or move it away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// It would hold more than [`PEERS_MAX`].
    #[error("the list would hold more than {PEERS_MAX} peers; remove some first")]
    TooMany,
    /// Not a URL that a worker can answer at.
    #[error("{url}: a peer's URL is http or https, a host, and perhaps a port")]
    BadUrl {
        /// What was given.
        url: String,
    },
}

/// The list on disk.
#[derive(Clone, Debug)]
pub struct PeerList {
    path: PathBuf,
}

impl PeerList {
    /// Where the list is, or will be.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every peer in the list; none if there is no file.
    pub fn load(&self) -> Result<Vec<PeerEntry>, PeerListError> {
        let text = match fs::metadata(&self.path) {
            Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(PeerListError::TooMany),
            Ok(_) => fs::read(&self.path).map_err(|e| self.io(e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.io(e)),
        };
        let list: Vec<PeerEntry> = serde_json::from_slice(&text)
            .map_err(|source| PeerListError::Malformed { path: self.path.clone(), source })?;
        if list.len() > PEERS_MAX { Err(PeerListError::TooMany) } else { Ok(list) }
    }

    /// Adds a peer, or changes the URL and label of one that is there. Gives the new list.
    pub fn add(&self, peer: PeerEntry) -> Result<Vec<PeerEntry>, PeerListError> {
        self.change(|list| {
            match list.iter_mut().find(|known| known.pubkey == peer.pubkey) {
                Some(known) => *known = peer,
                None => list.push(peer),
            }
            if list.len() > PEERS_MAX { Err(PeerListError::TooMany) } else { Ok(()) }
        })
    }

    /// Takes a peer out. Gives whether it was there, and the new list.
    pub fn remove(&self, pubkey: &NodeId) -> Result<(bool, Vec<PeerEntry>), PeerListError> {
        let mut found = false;
        let list = self.change(|list| {
            let before = list.len();
            list.retain(|known| known.pubkey != *pubkey);
            found = list.len() < before;
            Ok(())
        })?;
        Ok((found, list))
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Vec<PeerEntry>) -> Result<(), PeerListError>,
    ) -> Result<Vec<PeerEntry>, PeerListError> {
        let _lock = shared_file::lock(&self.path).map_err(|e| self.io(e))?;
        let mut list = self.load()?;
        edit(&mut list)?;
        self.replace(&list).map_err(|e| self.io(e))?;
        Ok(list)
    }

    fn replace(&self, list: &[PeerEntry]) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(list)?;
        text.push(b'\n');
        shared_file::replace(&self.path, Readers::AsUsual, &text)
    }

    fn io(&self, source: io::Error) -> PeerListError {
        PeerListError::Io { path: self.path.clone(), source }
    }
}

fn without_slash<S: serde::Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(show_url(url))
}

/// A peer's URL as people write it: without the slash that stands for an empty path.
pub fn show_url(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// Reads the URL of a peer: http or https, with a host; a trailing slash is dropped.
pub fn parse_url(text: &str) -> Result<Url, PeerListError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| PeerListError::BadUrl { url: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8, url: &str) -> PeerEntry {
        PeerEntry { pubkey: NodeId::from_bytes([seed; 32]), url: parse_url(url).unwrap(), label: None }
    }

    #[test]
    fn adding_twice_changes_and_removing_says_whether_it_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let list = PeerList::at(dir.path().join("peers.json"));
        assert_eq!(list.load().unwrap(), []);
        list.add(peer(1, "http://a:1")).unwrap();
        list.add(peer(2, "http://b:1")).unwrap();
        list.add(peer(1, "http://c:1")).unwrap();
        assert_eq!(list.load().unwrap(), [peer(1, "http://c:1"), peer(2, "http://b:1")]);
        assert!(list.remove(&NodeId::from_bytes([1; 32])).unwrap().0);
        assert!(!list.remove(&NodeId::from_bytes([1; 32])).unwrap().0);
        assert_eq!(list.load().unwrap(), [peer(2, "http://b:1")]);
    }

    #[test]
    fn a_broken_list_is_reported_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let list = PeerList::at(dir.path().join("peers.json"));
        fs::write(list.path(), "[{").unwrap();
        assert!(matches!(list.add(peer(1, "http://a")), Err(PeerListError::Malformed { .. })));
        assert_eq!(fs::read_to_string(list.path()).unwrap(), "[{");
    }

    #[test]
    fn changes_at_the_same_time_all_count() {
        let dir = tempfile::tempdir().unwrap();
        let list = PeerList::at(dir.path().join("peers.json"));
        std::thread::scope(|scope| {
            for seed in 0..20 {
                let list = &list;
                scope.spawn(move || list.add(peer(seed, "http://a")).unwrap());
            }
        });
        assert_eq!(list.load().unwrap().len(), 20);
    }
}
