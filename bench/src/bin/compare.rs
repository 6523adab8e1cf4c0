//! `compare`: what Lobstah adds to a request, beside nginx and beside no proxy at all.

use anyhow::{Context, bail};
use bench::{
    args::{Args, Command, Selection},
    engine,
    figures::Subject,
    machine::{self, Cores, Machine},
    process::Process,
    report::{self, Report},
    rounds::Run,
    subject::{INSTALL_NGINX, Surroundings, find_nginx},
};
use clap::Parser;
use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("compare: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(Command::Engine) = args.command {
        engine::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever way it ends, what was started ends with it and its folders are removed.
        tokio::select! {
            compared = compare(args) => compared,
            _ = interrupt.recv() => Ok(ExitCode::from(130)),
            _ = terminate.recv() => Ok(ExitCode::from(143)),
        }
    })
}

async fn compare(args: &Args) -> anyhow::Result<ExitCode> {
    let mut selection = Selection::of(&args.only)?;
    let lobstah = lobstah(args)?;
    let files_max = machine::allow_many_files();
    let cores = Cores::choose();
    let machine = Machine::look(cores, files_max);
    let nginx = find_nginx();
    if nginx.is_none() && selection.subjects.contains(&Subject::Nginx) {
        selection.subjects.retain(|subject| *subject != Subject::Nginx);
        eprintln!("{INSTALL_NGINX}");
    }
    caution(&machine);
    machine::pin(cores.harness);

    let folder = lobstah.parent().context("lobstah is in no folder")?;
    let folder = tempfile::Builder::new().prefix("compare-").tempdir_in(folder);
    let folder = folder.context("a temporary folder beside lobstah")?;
    let mut command = std::process::Command::new(env::current_exe()?);
    command.arg("engine");
    let mut engine = Process::start("engine", command, folder.path(), cores.harness, cores.harness)?;
    let address = engine.says(engine::LISTENING).await?.parse()?;
    let around = Surroundings { engine: address, lobstah, nginx, cores, folder: folder.path().to_owned() };
    let run = Run {
        around: &around,
        engine: &[engine],
        selection: &selection,
        rounds: args.rounds,
        measured: Duration::from_secs(args.seconds.into()),
        files_max,
    };
    let samples = run.measure().await;
    let report = Report {
        date: machine::date(),
        lobstah: machine::said(&around.lobstah.to_string_lossy(), &["--version"]).unwrap_or_default(),
        commit: machine::said("git", &["describe", "--always", "--dirty", "--abbrev=9"]),
        nginx: around.nginx.as_ref().and_then(|_| nginx_version(&around)),
        machine,
        rounds: args.rounds,
        seconds: args.seconds,
        bars: report::judge(&samples),
        samples,
    };
    show(&report)?;
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let failed = report.samples.0.iter().any(|sample| sample.failures > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The program to measure: the one that was named, or the one beside this one.
fn lobstah(args: &Args) -> anyhow::Result<PathBuf> {
    let beside = || Ok::<_, io::Error>(env::current_exe()?.with_file_name("lobstah"));
    let path = args.lobstah.clone().map_or_else(beside, Ok)?;
    if !path.is_file() {
        bail!(
            "there is no {}: build it with `cargo build --release -p gateway`, or name it with --lobstah",
            path.display()
        );
    }
    Ok(path.canonicalize()?)
}

/// Says what this machine cannot do, before the figures are believed.
fn caution(machine: &Machine) {
    if !cfg!(target_os = "linux") {
        eprintln!("CPU time is read on Linux only: here there are rates, latencies, memory and start-up");
    }
    if machine.pinned.subject.is_none() {
        eprintln!("nothing is pinned to a core here: all share what there is, and the ratios say less");
    }
    if let Some(load) = machine.load_average.filter(|load| *load > 0.5) {
        eprintln!("the machine was busy before this began (load average {load}): trust the ratios only");
    }
}

fn nginx_version(around: &Surroundings) -> Option<String> {
    let output = std::process::Command::new(around.nginx.as_ref()?).arg("-v").output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("nginx version: ").to_owned())
}

fn show(report: &Report) -> io::Result<()> {
    let Machine { cpu, cores, system, .. } = &report.machine;
    let commit = report.commit.as_deref().unwrap_or("no checkout");
    let mut out = io::stdout().lock();
    writeln!(out, "\n{}  {}  ({commit})", report.date, report.lobstah)?;
    writeln!(out, "{cpu}, {cores} cores, {system}")?;
    writeln!(out, "rounds: {}, each load {} s; medians are shown", report.rounds, report.seconds)?;
    writeln!(out, "remote is a gateway and a worker, both counted; direct's CPU time is the engine's own\n")?;
    write!(out, "{}", report.text())
}
