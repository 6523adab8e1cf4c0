//! A disk that is soon full: memory under a node's home, where this machine lets us mount it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What takes up the rest of the disk.
const FILLER: &str = "filler";

/// Mounted over a folder until it is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a line that says why, where this takes rights that we do not have: then the story is skipped.
    pub fn over(folder: &Path, kib: u32) -> Option<Self> {
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        let said = match mounted {
            Ok(output) if output.status.success() => return Some(Self(folder.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        // Not `println!`: of a test that passes that is kept back.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no small disk can be mounted here: {}", said.trim());
        None
    }

    /// Takes all that is left.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Takes all but so much.
    pub fn fill_but(&self, kib: u64) {
        let mut file = File::create(self.0.join(FILLER)).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        let filled = file.metadata().unwrap().len();
        file.set_len(filled.checked_sub(kib * 1024).expect("there was more room")).unwrap();
    }

    /// Gives it back.
    pub fn make_room(&self) {
        fs::remove_file(self.0.join(FILLER)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever has files open there may end after us.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
