//! One network namespace with its files in `/etc/netns`: made, entered, and removed with everything in it.

use super::system;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// Names are `lobstah-test-PID-LAB-HOST`: no two processes and no two labs collide, and who left one
/// behind can be told.
const PREFIX: &str = "lobstah-test-";

/// Where `ip netns` keeps namespaces.
const NAMESPACES: &str = "/run/netns";

/// `ip netns exec` mounts the files in a folder with the namespace's name over those in `/etc`.
const FILES: &str = "/etc/netns";

/// Removed when dropped. Programs that still run in it keep what they have of it.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    net: File,
}

impl Namespace {
    pub(super) fn add(lab: usize, host: &str) -> Result<Self, String> {
        assert!(host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{host:?} is no name of a host");
        let name = format!("{PREFIX}{}-{lab}-{host}", std::process::id());
        ip(&["netns", "add", &name], "")?;
        let net = File::open(Path::new(NAMESPACES).join(&name));
        let net = net.inspect_err(|_| remove(&name)).map_err(|error| error.to_string())?;
        let this = Self { name, net };
        this.write_all_files().map_err(|error| format!("{FILES}: {error}"))?;
        Ok(this)
    }

    /// Lines for `ip -batch`, carried out in it.
    pub(super) fn ip(&self, lines: &str) -> Result<(), String> {
        ip(&["-n", &self.name, "-batch", "-"], lines).map(drop)
    }

    /// A program that will run in it, as the process that is started.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(ip_program().unwrap_or(Path::new("ip")));
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` with this thread in it, and takes the thread back to where it was.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _back = Back(system::net_of_this_thread().unwrap());
        system::enter(&self.net).unwrap();
        work()
    }

    /// Writes the lines of `/etc/hosts`, after the one that every machine has.
    pub(super) fn write_hosts(&self, lines: &str) -> io::Result<()> {
        self.write_file("hosts", &format!("127.0.0.1 localhost\n{lines}"))
    }

    /// Writes a file that its programs see in `/etc`. Those that run already see it as well: it keeps its
    /// inode, which is what was mounted.
    fn write_file(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.files().join(name), text)
    }

    /// What its names mean is up to the story alone, whatever this machine's own settings are.
    fn write_all_files(&self) -> io::Result<()> {
        fs::create_dir_all(self.files())?;
        self.write_hosts("")?;
        // With nobody at this address a name is unknown at once. The dot: no domain is searched.
        self.write_file("resolv.conf", "nameserver 127.0.0.1\nsearch .\n")?;
        // Only what is in /etc can be mounted over; without this file glibc does the same.
        if Path::new("/etc/nsswitch.conf").exists() {
            self.write_file("nsswitch.conf", "hosts: files dns\n")?;
        }
        Ok(())
    }

    fn files(&self) -> PathBuf {
        Path::new(FILES).join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Takes this thread back to a namespace when dropped, also by a panic.
struct Back(File);

impl Drop for Back {
    fn drop(&mut self) {
        // A thread that stays elsewhere would spoil whatever runs on it next.
        system::enter(&self.0).unwrap();
    }
}

/// The path of `ip`, which is not on everybody's PATH.
pub(super) fn ip_program() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(usual).map(|folder| folder.join("ip")).find(|ip| ip.is_file())
    });
    found.as_deref()
}

/// Runs `ip` to its end; gives what it printed, or what it complained about.
fn ip(args: &[&str], input: &str) -> Result<String, String> {
    let run = || -> io::Result<Output> {
        let mut ip = Command::new(ip_program().unwrap_or(Path::new("ip")));
        let ip = ip.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ip.spawn()?;
        // Taken, so that it ends here: `ip -batch -` reads to the end.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let failed = |why: &str| format!("`ip {}`: {}", args.join(" "), why.trim());
    let output = run().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(&String::from_utf8_lossy(&output.stderr)))
    }
}

/// As much of it as there is.
fn remove(name: &str) {
    let _ = ip(&["netns", "delete", name], "");
    let _ = fs::remove_dir_all(Path::new(FILES).join(name));
}

/// Removes what tests left behind that were killed, the programs that still run in it first.
pub(super) fn remove_leftovers() {
    for name in leftovers() {
        let pids = ip(&["netns", "pids", &name], "").unwrap_or_default();
        for pid in pids.split_whitespace() {
            let kill = format!("kill -9 {pid}");
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        }
        remove(&name);
    }
}

/// The names of namespaces whose process is gone.
fn leftovers() -> Vec<String> {
    let names = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    // A process that ended, and that nobody has waited for yet, has no program either.
    let is_gone = |pid: u32| !Path::new(&format!("/proc/{pid}/exe")).exists();
    let mut names = [names(NAMESPACES), names(FILES)].concat();
    names.retain(|name| maker(name).is_some_and(is_gone));
    names.sort();
    names.dedup();
    names
}

/// The process that made a namespace of this name.
fn maker(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}
