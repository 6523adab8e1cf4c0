//! Processes that we start: where they run, what they said, what they cost, and that they end.

use crate::machine;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long one may take to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a process that starts is looked at: the grain of start-up times.
pub const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A process of ours. Dropped, it is ended and waited for, together with those that it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    said: PathBuf,
    pub begun: Instant,
}

impl Process {
    /// Starts it on a core, with what it says going to a file in `folder`.
    pub fn start(
        name: &str,
        mut command: Command,
        folder: &Path,
        core: Option<usize>,
        back_to: Option<usize>,
    ) -> anyhow::Result<Self> {
        let said = folder.join(format!("{name}.log"));
        let log = File::create(&said)?;
        // A group of its own: Ctrl-C is for us, and we end it in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        machine::pin(core);
        let begun = Instant::now();
        let child = command.spawn();
        machine::pin(back_to);
        let child = child.with_context(|| format!("{:?} cannot be started", command.get_program()))?;
        Ok(Self { child, name: name.to_owned(), said, begun })
    }

    /// What stands behind `marker` on the first line that has it, waiting for it to be said.
    pub async fn says(&mut self, marker: &str) -> anyhow::Result<String> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let text = fs::read_to_string(&self.said).unwrap_or_default();
            let line = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(rest) = line.filter_map(|line| line.trim().strip_prefix(marker)).next() {
                return Ok(rest.trim().to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{text}", self.name);
            }
            if Instant::now() > until {
                bail!("{} did not start within 10 s:\n{text}", self.name);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Its own number and those of the processes that it started.
    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(own).chain(children).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let all = self.pids();
        signal(self.child.id(), Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        // It has not been waited for, so these numbers are still its own and its children's.
        all.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }
}

/// CPU time that the processes have used, in nanoseconds; `None` where the system does not tell.
pub fn cpu_ns(processes: &[Process]) -> Option<u64> {
    let mut sum = 0;
    for pid in processes.iter().flat_map(Process::pids) {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // A thread that ended meanwhile is gone with what it used.
            let times = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            sum += times.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Some(sum)
}

/// Memory that the processes hold now, in KiB.
pub fn rss_kib(processes: &[Process]) -> Option<u64> {
    processes.iter().flat_map(Process::pids).map(rss_of).sum()
}

fn rss_of(pid: u32) -> Option<u64> {
    // Exact, where /proc/PID/status may lag behind by some pages per core.
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        return machine::said("ps", &["-o", "rss=", "-p", &pid.to_string()])?.parse().ok();
    };
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
