//! A `LOBSTAH_HOME` in a temporary folder, and commands that are run in it.

use crate::{binary::lobstah, lab::Host, patience::PATIENCE};
use protocol::NodeId;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Every signature of tens of thousands of exchanges, in a build that is not optimised.
const AUDITED_WITHIN: Duration = Duration::from_secs(600);

/// Gone with everything in it when dropped.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    env: Vec<(String, String)>,
    host: Option<Host>,
}

/// What a command said, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("story-").tempdir().unwrap();
        fs::create_dir(folder.path().join("lobstah")).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, env: Vec::new(), host: None }
    }

    /// For every command in this home.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For none from now on.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// On a host of a lab, where every command in this home runs.
    pub fn on(self, host: &Host) -> Self {
        Self { host: Some(host.clone()), ..self }
    }

    /// The host that it is on, if it is on one.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// What `HOME` is set to; `LOBSTAH_HOME` is `lobstah` in it, and `TMPDIR` is `tmp`.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// A file in `LOBSTAH_HOME`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("lobstah").join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The program with these arguments and a clean environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.clean(lobstah());
        command.args(args);
        command
    }

    /// A line for the shell, in the same environment.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.clean(Path::new("sh"));
        command.args(["-c", line]);
        command
    }

    fn clean(&self, program: &Path) -> Command {
        let mut command = match &self.host {
            None => Command::new(program),
            Some(host) => host.command(program),
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("LOBSTAH_HOME", self.file(""))
            .env(
                "LOBSTAH_LOG",
                "info,gateway=debug,pingora_core=off,pingora=off,nostr_relay_pool=off,nostr_sdk=off,nostr_relay_builder=off",
            )
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Said {
        self.run_within(PATIENCE, args).await
    }

    async fn run_within(&self, patience: Duration, args: &[&str]) -> Said {
        let mut command = self.command(args);
        let work = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = timeout(patience, work).await;
        let output = output.unwrap_or_else(|_| panic!("still waiting: lobstah {}", args.join(" "))).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The same with a file as its standard input.
    pub async fn run_with_input(&self, args: &[&str], input: &Path) -> Said {
        let mut command = self.command(args);
        command.stdin(File::open(input).unwrap());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Every receipt in the ledger, newest first: the same on both sides, whatever each knows of it.
    pub async fn receipts(&self) -> Vec<Value> {
        let listed = self.run(&["receipts", "list", "--json"]).await.ok().json();
        let mut receipts = listed.as_array().unwrap().clone();
        receipts.iter_mut().for_each(|receipt| drop(receipt.as_object_mut().unwrap().remove("state")));
        receipts
    }

    /// How this node stands with another, as `balance --json` has it; all zeros if they never met.
    pub async fn standing(&self, with: NodeId) -> Value {
        let balance = self.run(&["balance", "--json"]).await.ok().json();
        let peers = balance["peers"].as_array().unwrap();
        let known = peers.iter().find(|peer| peer["pubkey"] == with.to_string()).cloned();
        known.unwrap_or_else(
            || json!({"owedToMe": 0, "owedByMe": 0, "claimed": 0, "reserved": 0, "line": 0, "available": 0}),
        )
    }

    /// Whether `receipts audit` finds nothing wrong.
    pub async fn assert_audit_is_clean(&self) -> Value {
        let audit = self.run_within(AUDITED_WITHIN, &["receipts", "audit", "--json"]).await.ok().json();
        assert_eq!(audit["findings_total"], 0, "{audit}");
        audit
    }
}

impl Said {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// It must have gone well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Test vectors that an implementation made which shares no code with ours.
pub fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/vectors").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
