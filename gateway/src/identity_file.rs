//! `identity.json` on disk: read, upgraded, created, never readable by others (SPEC section 1).

use protocol::{
    Identity, Keypair, NostrKeypair,
    identity::{BadIdentity, Parsed},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A longer file is no identity.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{}: others can read this key; run: chmod 600 {}", path.display(), path.display())]
    Readable { path: PathBuf },
    #[error("{} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no identity; restore it from a backup, or make a new one with `lobstah keygen --force`", path.display())]
    Bad { path: PathBuf, source: BadIdentity },
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Reads the identity; a version 1 file gets its Nostr key and is written back. `None`: no file.
pub fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(IdentityError::Readable { path: path.to_owned() });
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(io_error(path, io::Error::other("too long for an identity")));
    }
    let text = fs::read_to_string(path).map_err(|error| io_error(path, error))?;
    match Identity::parse(&text).map_err(|source| IdentityError::Bad { path: path.to_owned(), source })? {
        Parsed::Complete(identity) => Ok(Some(identity)),
        Parsed::WithoutNostr(node) => {
            let identity = Identity { node, nostr: random_nostr()? };
            save(path, &identity)?;
            Ok(Some(identity))
        }
    }
}

/// Reads the identity, or makes one. Gives whether it is new.
pub fn load_or_create(path: &Path) -> Result<(Identity, bool), IdentityError> {
    match load(path)? {
        Some(identity) => Ok((identity, false)),
        None => create(path).map(|identity| (identity, true)),
    }
}

/// Makes a new identity and writes it, whatever was there.
pub fn create(path: &Path) -> Result<Identity, IdentityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let identity = Identity { node: Keypair::from_seed(&seed), nostr: random_nostr()? };
    save(path, &identity)?;
    Ok(identity)
}

fn random_nostr() -> Result<NostrKeypair, IdentityError> {
    loop {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        // Fails for one in 2^128 draws.
        if let Ok(key) = NostrKeypair::from_secret(&secret) {
            return Ok(key);
        }
    }
}

/// Written beside, flushed, renamed: never half a key on disk, never readable by others.
fn save(path: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let beside = path.with_extension(format!("json.{}", std::process::id()));
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(identity.to_json().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The name is durable only when the folder is.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|error| io_error(path, error))
}

/// Makes a folder that only its owner may enter; one that exists is left as it is.
pub fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn io_error(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_identity_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home/identity.json");
        let (made, new) = load_or_create(&path).unwrap();
        assert!(new);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (read, new) = load_or_create(&path).unwrap();
        assert!(!new);
        assert_eq!(read.node.node_id(), made.node.node_id());
        assert_eq!(read.nostr.public_hex(), made.nostr.public_hex());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    }

    #[test]
    fn a_version_1_file_keeps_its_key_and_gains_a_nostr_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        let key = Keypair::from_seed(&[3; 32]);
        let text = format!(
            r#"{{"version":1,"publicKey":"{}","secretKey":"{}"}}"#,
            key.node_id(),
            hex::encode([3; 32])
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let first = load(&path).unwrap().unwrap();
        assert_eq!(first.node.node_id(), key.node_id());
        let second = load(&path).unwrap().unwrap();
        assert_eq!(first.nostr.public_hex(), second.nostr.public_hex(), "written back, not drawn again");
    }
}
