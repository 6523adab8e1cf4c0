//! A running `lobstah`: what it says, how it is told to stop, how it ended.

use crate::{eventually, home::Home};
use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
};

/// Killed when dropped; its log is shown if the story failed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts a command in a home, with its output in files beside it.
    pub fn start(home: &Home, args: &[&str]) -> Self {
        Self::of(home, home.command(args))
    }

    pub fn of(home: &Home, mut command: Command) -> Self {
        let (stdout, stderr) = (home.outside().join("stdout"), home.outside().join("stderr"));
        let append = |path: &PathBuf| File::options().create(true).append(true).open(path).unwrap();
        // What an earlier process said is not this one's word.
        fs::write(&stdout, "").unwrap();
        command.stdout(append(&stdout)).stderr(append(&stderr));
        Self { child: command.spawn().unwrap(), stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until it has said something in which `find` finds what it looks for.
    pub async fn says<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, async || {
            let found = find(&self.stdout());
            if found.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("it ended ({status}) before it said {what}:\n{}\n{}", self.stdout(), self.stderr());
            }
            found
        })
        .await
    }

    /// Sends a signal: `TERM`, `INT`, `STOP` …
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// `kill -9`: nothing is finished.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", async || self.child.try_wait().unwrap()).await
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that it ever had.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
        kib * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- lobstah ({}) said:\n{}{}", self.pid(), self.stdout(), self.stderr());
        }
    }
}
