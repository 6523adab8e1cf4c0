//! Where a node keeps its files (SPEC section 8), told by the environment.

use crate::{ConfigFile, Environment};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The files of one node. Nothing here says that they exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `LOBSTAH_HOME`, else `~/.lobstah`.
    pub home: PathBuf,
    /// `LOBSTAH_CONFIG`, which must exist, else `lobstah.toml` in the home, which may.
    pub config: ConfigFile,
    /// `LOBSTAH_IDENTITY`, else `identity.json` in the home.
    pub identity: PathBuf,
    /// `LOBSTAH_PEERS`, else `peers.json` in the home.
    pub peers: PathBuf,
    /// `LOBSTAH_LEDGER`, else `ledger.db` in the home. The first Lobstah kept a `.jsonl` there, which
    /// is no database: the `.db` beside it is meant.
    pub ledger: PathBuf,
}

/// A path begins with `~` (or none is given), and there is no `HOME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the home folder is unknown; set HOME or LOBSTAH_HOME")]
pub struct HomeUnknown;

impl Paths {
    /// Strangers that were heard of: `strangers.jsonl` in the home.
    pub fn strangers(&self) -> PathBuf {
        self.home.join("strangers.jsonl")
    }

    /// Up to which entry of the ledger receipts were made public: `published-receipts` in the home.
    pub fn published(&self) -> PathBuf {
        self.home.join("published-receipts")
    }

    /// The paths that this environment names.
    pub fn from_env(env: &Environment) -> Result<Self, HomeUnknown> {
        let named = |variable| env.get(variable).map(|path| expand(path, env)).transpose();
        let home = named("LOBSTAH_HOME")?.map_or_else(|| expand(OsStr::new("~/.lobstah"), env), Ok)?;
        let within = |variable, name| Ok(named(variable)?.unwrap_or_else(|| home.join(name)));
        Ok(Self {
            config: match named("LOBSTAH_CONFIG")? {
                Some(path) => ConfigFile::Required(path),
                None => ConfigFile::IfPresent(home.join("lobstah.toml")),
            },
            identity: within("LOBSTAH_IDENTITY", "identity.json")?,
            peers: within("LOBSTAH_PEERS", "peers.json")?,
            ledger: database(within("LOBSTAH_LEDGER", "ledger.db")?),
            home,
        })
    }
}

fn expand(path: &OsStr, env: &Environment) -> Result<PathBuf, HomeUnknown> {
    let path = Path::new(path);
    match path.strip_prefix("~") {
        // Joining an empty rest would leave a slash at the end.
        Ok(rest) if rest.as_os_str().is_empty() => env.get("HOME").map(PathBuf::from).ok_or(HomeUnknown),
        Ok(rest) => env.get("HOME").map(|home| Path::new(home).join(rest)).ok_or(HomeUnknown),
        Err(_) => Ok(path.to_owned()),
    }
}

fn database(path: PathBuf) -> PathBuf {
    if path.extension() == Some(OsStr::new("jsonl")) { path.with_extension("db") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(pairs: [(&str, &str); N]) -> Result<Paths, HomeUnknown> {
        Paths::from_env(&pairs.into_iter().collect())
    }

    #[test]
    fn everything_is_in_the_home_unless_it_is_named() {
        let paths =
            paths([("HOME", "/home/ann"), ("LOBSTAH_PEERS", "~/p.json"), ("LOBSTAH_IDENTITY", "")]).unwrap();
        assert_eq!(paths.home, Path::new("/home/ann/.lobstah"));
        assert_eq!(paths.config, ConfigFile::IfPresent("/home/ann/.lobstah/lobstah.toml".into()));
        assert_eq!(paths.identity, Path::new("/home/ann/.lobstah/identity.json"));
        assert_eq!(paths.peers, Path::new("/home/ann/p.json"));
        assert_eq!(paths.ledger, Path::new("/home/ann/.lobstah/ledger.db"));
    }

    #[test]
    fn a_named_file_must_exist_and_an_old_ledger_is_not_overwritten() {
        let paths = paths([
            ("LOBSTAH_HOME", "/srv/lobstah"),
            ("LOBSTAH_CONFIG", "/etc/lobstah.toml"),
            ("LOBSTAH_LEDGER", "/srv/old/ledger.jsonl"),
        ])
        .unwrap();
        assert_eq!(paths.config, ConfigFile::Required("/etc/lobstah.toml".into()));
        assert_eq!(paths.ledger, Path::new("/srv/old/ledger.db"));
    }

    #[test]
    fn without_a_home_nothing_is_guessed() {
        assert_eq!(paths([]), Err(HomeUnknown));
        assert_eq!(paths([("LOBSTAH_HOME", "~/x")]), Err(HomeUnknown));
        assert!(paths([("LOBSTAH_HOME", "/x")]).is_ok());
    }
}
