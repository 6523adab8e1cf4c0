//! The settings in force, and how a running node takes new ones from `lobstah.toml` (SPEC section 9).
//!
//! A request takes one `Arc<Config>` at its start and keeps to it: what a reload changes never mixes with
//! what was before.

use arc_swap::ArcSwap;
use config::{Config, ConfigFile, Environment, Flag, Problem};
use parking_lot::Mutex;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// How often the file is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where the settings come from: read again, they give the next ones.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: ConfigFile,
    pub env: Environment,
    /// What was said on the command line stands above the file, each time.
    pub flags: Vec<Flag>,
}

/// What came of reading the file again.
#[derive(Debug)]
pub enum Reload {
    /// New settings are in force. `needs_restart` are the keys whose change waits for a restart.
    Applied { needs_restart: Vec<&'static str> },
    /// The old ones stay.
    Refused(Vec<Problem>),
    /// Somebody took the file away; the old settings stay.
    Gone,
}

impl Reload {
    /// The label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Reload::Applied { .. } => "applied",
            Reload::Refused(_) => "refused",
            Reload::Gone => "gone",
        }
    }
}

/// The settings in force.
pub struct Settings {
    current: ArcSwap<Config>,
    source: Option<Source>,
    /// The file as it was when it was last read, and as it was when it was last looked at.
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

struct Seen {
    read: Option<Stamp>,
    looked: Option<Stamp>,
}

/// What tells one state of a file from another: a rename gives it another inode at least.
pub type Stamp = (SystemTime, u64, u64);

/// The state of a file; `None` if there is none.
pub fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

impl Settings {
    /// Without a source they never change.
    pub fn new(config: Config, source: Option<Source>) -> Self {
        let read = source.as_ref().and_then(|source| stamp(source.file.path()));
        let seen = Mutex::new(Seen { read, looked: read });
        Self { current: ArcSwap::from_pointee(config), source, seen, changed: watch::Sender::new(()) }
    }

    /// What is in force now.
    pub fn current(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Tells whenever new settings are in force.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Reads the file if it changed since it was last read. A file that is still being written is left
    /// alone until it is the same at two looks: an editor that empties it first must not empty the settings.
    pub fn look(&self) -> Option<Reload> {
        let source = self.source.as_ref()?;
        let now = stamp(source.file.path());
        {
            let mut seen = self.seen.lock();
            let settled = seen.looked == now;
            seen.looked = now;
            if !settled || seen.read == now {
                return None;
            }
        }
        Some(self.reload_from(source))
    }

    /// Reads the file at once; `None` if there is no source.
    pub fn reload(&self) -> Option<Reload> {
        self.source.as_ref().map(|source| self.reload_from(source))
    }

    fn reload_from(&self, source: &Source) -> Reload {
        let before = stamp(source.file.path());
        let had_file = self.seen.lock().read.is_some();
        self.seen.lock().read = before;
        if before.is_none() && had_file {
            return Reload::Gone;
        }
        let config = match config::load(&source.file, &source.env, &source.flags) {
            Ok(loaded) => loaded.config,
            Err(problems) => return Reload::Refused(problems),
        };
        let needs_restart = needs_restart(&self.current(), &config);
        self.current.store(Arc::new(config));
        self.changed.send_replace(());
        Reload::Applied { needs_restart }
    }
}

/// The keys that differ and that a running node cannot follow.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("gateway.listen", old.gateway.listen != new.gateway.listen),
        ("worker.listen", old.worker.listen != new.worker.listen),
        ("worker.enabled", old.worker.enabled != new.worker.enabled),
        ("ollama.url", old.ollama.url != new.ollama.url),
    ];
    changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Says in the log what came of a reload.
pub fn log(reload: &Reload, path: &Path) {
    match reload {
        Reload::Applied { needs_restart } => {
            tracing::info!(path = %path.display(), "new settings are in force");
            if !needs_restart.is_empty() {
                tracing::warn!("restart for what changed in {}", needs_restart.join(", "));
            }
        }
        Reload::Refused(problems) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            tracing::error!("{} is not taken; the old settings stay in force", path.display());
        }
        Reload::Gone => {
            tracing::error!("{} is gone; the old settings stay in force", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lobstah.toml");
        std::fs::write(&path, text).unwrap();
        let source =
            Source { file: ConfigFile::IfPresent(path), env: Environment::default(), flags: Vec::new() };
        let config = config::load(&source.file, &source.env, &[]).unwrap().config;
        (folder, Settings::new(config, Some(source)))
    }

    fn write(folder: &tempfile::TempDir, text: &str) {
        let beside = folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, folder.path().join("lobstah.toml")).unwrap();
    }

    #[test]
    fn a_change_is_taken_when_it_has_settled() {
        let (folder, settings) = settings("[gateway]\nqueue = 5\n");
        let changes = settings.changes();
        assert!(settings.look().is_none());
        write(&folder, "[gateway]\nqueue = 7\nlisten = \"127.0.0.1:9\"\n");
        assert!(settings.look().is_none(), "it may still be written");
        let Some(Reload::Applied { needs_restart }) = settings.look() else { panic!("not taken") };
        assert_eq!(needs_restart, ["gateway.listen"]);
        assert_eq!(settings.current().gateway.queue, 7);
        assert!(changes.has_changed().unwrap());
        assert!(settings.look().is_none());
    }

    #[test]
    fn a_broken_file_and_a_missing_one_change_nothing() {
        let (folder, settings) = settings("[gateway]\nqueue = 5\n");
        write(&folder, "[gateway]\nqueue = [\n");
        assert!(settings.look().is_none());
        let Some(Reload::Refused(problems)) = settings.look() else { panic!("not refused") };
        assert!(problems[0].to_string().contains("lobstah.toml:2"), "{}", problems[0]);
        assert!(settings.look().is_none(), "said once");
        std::fs::remove_file(folder.path().join("lobstah.toml")).unwrap();
        assert!(settings.look().is_none());
        assert!(matches!(settings.look(), Some(Reload::Gone)));
        assert_eq!(settings.current().gateway.queue, 5);
        write(&folder, "[gateway]\nqueue = 6\n");
        assert!(settings.look().is_none());
        assert!(matches!(settings.look(), Some(Reload::Applied { .. })));
        assert_eq!(settings.current().gateway.queue, 6);
    }
}
