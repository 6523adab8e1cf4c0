//! OpenAI's own packages for Python and Node.js, where `./x setup` puts them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The scripts that use them, and the lists of what they need.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Gives the Python that has the package, once both are known to be there: each folder holds a copy of the list
/// from which it was filled. `target_tmp` is `CARGO_TARGET_TMPDIR`, which only a test knows.
pub fn installed(target_tmp: &str) -> PathBuf {
    let target = Path::new(target_tmp).parent().unwrap();
    let python = target.join("clients/python");
    let node = clients().join("node");
    let lists = [
        (clients().join("python/requirements.txt"), python.join("installed.txt")),
        (node.join("package-lock.json"), node.join("node_modules/installed.json")),
    ];
    for (wanted, installed) in lists {
        let same = fs::read(&installed).is_ok_and(|there| there == fs::read(&wanted).unwrap());
        assert!(
            same,
            "the SDK of {} is not installed, or is another version: run ./x setup",
            wanted.display()
        );
    }
    python.join("bin/python")
}
