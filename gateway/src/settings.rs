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

/// What reading the file again gave. Nothing of it is in force yet.
#[derive(Debug)]
pub enum Reading {
    /// New settings. `needs_restart` are the keys whose change waits for a restart: the values that the
    /// node runs on stand in their place.
    New { config: Box<Config>, needs_restart: Vec<&'static str> },
    /// The old ones stay.
    Refused(Vec<Problem>),
    /// Somebody took the file away; the old settings stay.
    Gone,
}

/// The settings in force.
pub struct Settings {
    current: ArcSwap<Config>,
    source: Option<Source>,
    /// The file as it was when it was last read, and as it was when it was last looked at.
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

#[derive(Clone, Copy)]
struct Seen {
    read: Option<Stamp>,
    looked: Option<Stamp>,
    /// There was a file once: that it is missing is then no wish for the defaults.
    had_file: bool,
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
        let seen = Mutex::new(Seen { read, looked: read, had_file: read.is_some() });
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
    pub fn look(&self) -> Option<Reading> {
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
        Some(self.read_from(source))
    }

    /// Reads the file at once; `None` if there is no source.
    pub fn read(&self) -> Option<Reading> {
        self.source.as_ref().map(|source| self.read_from(source))
    }

    fn read_from(&self, source: &Source) -> Reading {
        let now = stamp(source.file.path());
        let had_file = {
            let mut seen = self.seen.lock();
            seen.read = now;
            seen.had_file |= now.is_some();
            seen.had_file
        };
        if now.is_none() && had_file {
            return Reading::Gone;
        }
        let mut config = match config::load(&source.file, &source.env, &source.flags) {
            Ok(loaded) => loaded.config,
            Err(problems) => return Reading::Refused(problems),
        };
        let needs_restart = keep_what_runs(&self.current(), &mut config);
        if config.gateway.api_keys.is_empty() && !config.gateway.listen.ip().to_canonical().is_loopback() {
            return Reading::Refused(vec![unlocked(&config)]);
        }
        Reading::New { config: Box::new(config), needs_restart }
    }

    /// Puts settings in force.
    pub fn put_in_force(&self, config: Config) {
        self.current.store(Arc::new(config));
        self.changed.send_replace(());
    }
}

/// Puts what a running node cannot change back to what it runs on, and names the keys: a listener that
/// stays open keeps its rules.
fn keep_what_runs(running: &Config, new: &mut Config) -> Vec<&'static str> {
    let changed = [
        ("gateway.listen", running.gateway.listen != new.gateway.listen),
        ("worker.listen", running.worker.listen != new.worker.listen),
        ("worker.enabled", running.worker.enabled != new.worker.enabled),
        ("ollama.url", running.ollama.url != new.ollama.url),
    ];
    new.gateway.listen = running.gateway.listen;
    new.worker.listen = running.worker.listen;
    new.worker.enabled = running.worker.enabled;
    new.ollama.url = running.ollama.url.clone();
    changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn unlocked(config: &Config) -> Problem {
    Problem {
        source: config::Source::Defaults,
        key: "gateway.api_keys".into(),
        message: format!("the gateway listens on {} and would need no key", config.gateway.listen),
        hint: Some("keep a key, or restart with a loopback address".into()),
    }
}

/// Says in the log what came of reading the file again.
pub fn log(reading: &Reading, path: &Path) {
    match reading {
        Reading::New { needs_restart, .. } => {
            if !needs_restart.is_empty() {
                tracing::warn!("restart for what changed in {}", needs_restart.join(", "));
            }
        }
        Reading::Refused(problems) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            tracing::error!("{} is not taken; the old settings stay in force", path.display());
        }
        Reading::Gone => {
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
        let Some(Reading::New { config, needs_restart }) = settings.look() else { panic!("not taken") };
        assert_eq!(needs_restart, ["gateway.listen"]);
        assert_eq!(config.gateway.listen, settings.current().gateway.listen, "it listens there still");
        settings.put_in_force(*config);
        assert_eq!(settings.current().gateway.queue, 7);
        assert!(changes.has_changed().unwrap());
        assert!(settings.look().is_none());
    }

    #[test]
    fn a_broken_file_and_a_missing_one_change_nothing() {
        let (folder, settings) = settings("[gateway]\nqueue = 5\n");
        write(&folder, "[gateway]\nqueue = [\n");
        assert!(settings.look().is_none());
        let Some(Reading::Refused(problems)) = settings.look() else { panic!("not refused") };
        assert!(problems[0].to_string().contains("lobstah.toml:2"), "{}", problems[0]);
        assert!(settings.look().is_none(), "said once");
        std::fs::remove_file(folder.path().join("lobstah.toml")).unwrap();
        assert!(settings.look().is_none());
        assert!(matches!(settings.look(), Some(Reading::Gone)));
        assert!(matches!(settings.read(), Some(Reading::Gone)), "also when it is told to read");
        assert_eq!(settings.current().gateway.queue, 5);
        write(&folder, "[gateway]\nqueue = 6\n");
        assert!(settings.look().is_none());
        let Some(Reading::New { config, .. }) = settings.look() else { panic!("not taken") };
        assert_eq!(config.gateway.queue, 6);
    }

    #[test]
    fn a_gateway_that_others_reach_is_never_left_without_keys() {
        let (folder, settings) = settings("[gateway]\nlisten = \"0.0.0.0:0\"\napi_keys = [\"sk-1\"]\n");
        write(&folder, "[gateway]\nlisten = \"127.0.0.1:0\"\n");
        assert!(settings.look().is_none());
        let Some(Reading::Refused(problems)) = settings.look() else { panic!("taken") };
        assert!(problems[0].to_string().contains("api_keys"), "{}", problems[0]);
    }
}
