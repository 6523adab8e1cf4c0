//! The machine: which core is whose, how many files may be open, what time it is, what it is called.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use serde::Serialize;
use std::{fs, process::Command};

/// More open files than the idle streams need in one process; macOS allows no more, whatever it says.
const FILES_WANTED: u64 = 10_240;

/// Nanoseconds on the clock that all processes of this machine share.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The date and time of the run, in UTC.
#[expect(clippy::disallowed_methods, reason = "a benchmark's result says when it was made")]
pub fn date() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// Lets this process and those that it starts open many files. Gives the number.
pub fn allow_many_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES_WANTED, |most| most.min(FILES_WANTED)).max(current.unwrap_or(0));
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// One core for generator and engine, one for the subject; neither where the system cannot pin or has but
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cores {
    pub harness: Option<usize>,
    pub subject: Option<usize>,
}

#[cfg(target_os = "linux")]
mod pinning {
    use super::Cores;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    impl Cores {
        /// The first two cores that this process may use.
        pub fn choose() -> Self {
            let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
            let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
            match (cores.next(), cores.next()) {
                (Some(harness), Some(subject)) => Self { harness: Some(harness), subject: Some(subject) },
                _ => Self { harness: None, subject: None },
            }
        }
    }

    /// Pins this thread, and with it what it starts from now on.
    pub fn pin(core: Option<usize>) {
        if let Some(core) = core {
            let mut set = CpuSet::new();
            set.set(core);
            // Refused only for a core that went away meanwhile: then nothing is pinned.
            let _ = sched_setaffinity(None, &set);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod pinning {
    use super::Cores;

    impl Cores {
        /// This system cannot pin.
        pub fn choose() -> Self {
            Self { harness: None, subject: None }
        }
    }

    /// Does nothing here.
    pub fn pin(_core: Option<usize>) {}
}

pub use pinning::pin;

/// What a reader of the figures wants to know of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub system: String,
    pub files_max: u64,
    pub pinned: Cores,
    /// Of the last minute, before anything was started: other work disturbs the figures.
    pub load_average: Option<f64>,
}

impl Machine {
    /// Looks around.
    pub fn look(pinned: Cores, files_max: u64) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cpu = model.map(|(_, name)| name.to_owned());
        let cpu = cpu.or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]));
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: said("uname", &["-sr"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            files_max,
            pinned,
            load_average: load.and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

/// What a program prints, if it runs and succeeds.
pub fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
