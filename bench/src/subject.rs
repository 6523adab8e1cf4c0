//! What stands between generator and engine: how each is set up, started and known to be ready.

use crate::{
    figures::Subject,
    http::{Connection, Request},
    load::{self, Expected},
    machine::Cores,
    process::{LOOK_EVERY, Process},
    question::{MODEL, Wish},
};
use anyhow::{Context, anyhow, bail};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A subject that does not answer as it should by then is left out.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// What all subjects need to know.
#[derive(Debug)]
pub struct Surroundings {
    pub engine: SocketAddr,
    pub lobstah: PathBuf,
    pub nginx: Option<PathBuf>,
    pub cores: Cores,
    /// Where homes are made: on the disk that the program itself is on, since a ledger's flush costs
    /// nothing on a file system in memory.
    pub folder: PathBuf,
}

/// A subject that serves. Dropped, its processes end and its home is removed.
#[derive(Debug)]
pub struct Running {
    pub subject: Subject,
    pub address: SocketAddr,
    pub expected: Expected,
    /// From the start of the process to the first 200 from /healthz; nothing is started for `direct`.
    pub started_within: Option<Duration>,
    // Ended before the homes go.
    pub processes: Vec<Process>,
    _homes: Vec<TempDir>,
}

impl Running {
    /// Starts a subject with a home of its own.
    pub async fn start(subject: Subject, around: &Surroundings) -> anyhow::Result<Self> {
        match subject {
            Subject::Direct => Ok(Self {
                subject,
                address: around.engine,
                expected: Expected::default(),
                started_within: None,
                processes: Vec::new(),
                _homes: Vec::new(),
            }),
            Subject::Nginx => nginx(around).await,
            Subject::Local => local(around).await,
            Subject::Worker => worker(around).await,
            Subject::Remote => remote(around).await,
        }
    }

    /// Waits until it answers a chat as it should: a gateway must first hear from those that it asks.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            match load::once(self.address, Wish::WHOLE, self.expected).await {
                Ok(()) => return Ok(()),
                Err(failed) if Instant::now() > until => {
                    return Err(anyhow!(failed).context(format!("{} is not ready", self.subject.name())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Where nginx is, if it is installed.
pub fn find_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(usual);
    folders.find_map(|folder| Some(folder.join("nginx")).filter(|program| program.is_file()))
}

/// How to get it.
pub const INSTALL_NGINX: &str = "nginx is not installed, so there are no ratios to it; get it with \
    `apt-get install nginx-light` (Debian, Ubuntu), `dnf install nginx` or `brew install nginx`";

async fn nginx(around: &Surroundings) -> anyhow::Result<Running> {
    let program = around.nginx.as_ref().context("nginx is not installed")?;
    let home = home(around, "nginx")?;
    // nginx takes no port 0: one that is free a moment before.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let config = home.path().join("nginx.conf");
    fs::write(&config, nginx_config(home.path(), &built_without(program), address, around.engine))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(home.path()).arg("-c").arg(&config);
    let process = Process::start("nginx", command, home.path(), around.cores.subject, around.cores.harness)?;
    let started_within = Some(healthy(&process, address).await?);
    Ok(Running {
        subject: Subject::Nginx,
        address,
        expected: Expected::default(),
        started_within,
        processes: vec![process],
        _homes: vec![home],
    })
}

/// How this nginx was built: a directive of a module that was left out is an error.
fn built_without(program: &Path) -> String {
    let output = Command::new(program).arg("-V").output();
    output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default()
}

/// One worker process, connections kept on both sides, nothing held back: the least that a proxy does.
fn nginx_config(home: &Path, built: &str, listen: SocketAddr, engine: SocketAddr) -> String {
    let home = home.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .into_iter()
        .filter(|kind| !built.contains(&format!("--without-http_{kind}_module")))
        .map(|kind| format!("    {kind}_temp_path {home}/{kind};\n"))
        .collect();
    format!(
        "daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_processes 1;
events {{
    worker_connections 4096;
}}
http {{
{temporary}    access_log off;
    client_body_buffer_size 128k;
    keepalive_requests 100000000;
    upstream engine {{
        server {engine};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location = /healthz {{
            return 200;
        }}
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 10m;
        }}
    }}
}}
"
    )
}

async fn local(around: &Surroundings) -> anyhow::Result<Running> {
    let home = home(around, "local")?;
    let (process, address, took) = lobstah(around, &home, "gateway", &gateway_before_engine(around)).await?;
    Ok(Running {
        subject: Subject::Local,
        address,
        expected: Expected::default(),
        started_within: Some(took),
        processes: vec![process],
        _homes: vec![home],
    })
}

async fn worker(around: &Surroundings) -> anyhow::Result<Running> {
    let home = home(around, "worker")?;
    let (process, address, took) = lobstah(around, &home, "worker", &worker_config(around, "")).await?;
    Ok(Running {
        subject: Subject::Worker,
        address,
        expected: Expected { receipt: true, from_peer: false },
        started_within: Some(took),
        processes: vec![process],
        _homes: vec![home],
    })
}

async fn remote(around: &Surroundings) -> anyhow::Result<Running> {
    let homes = [home(around, "worker")?, home(around, "gateway")?];
    let keys = [key(around, &homes[0])?, key(around, &homes[1])?];
    let friend =
        format!("[[peers]]\npubkey = \"{}\"\nlabel = \"gateway\"\ncredit_limit = {PLENTY}\n", keys[1]);
    let config = worker_config(around, &friend);
    let (worker, serves, _) = lobstah(around, &homes[0], "worker", &config).await?;
    let config = gateway_before_worker(&keys[0], serves);
    let (gateway, address, took) = lobstah(around, &homes[1], "gateway", &config).await?;
    Ok(Running {
        subject: Subject::Remote,
        address,
        expected: Expected { receipt: false, from_peer: true },
        started_within: Some(took),
        processes: vec![gateway, worker],
        _homes: homes.into(),
    })
}

/// Credits that no run of this benchmark uses up.
const PLENTY: u64 = 1_000_000_000_000;

/// A port of its own, and no word to anybody beyond this machine.
const ALONE: &str = "[gateway]\nlisten = \"127.0.0.1:0\"\n[discovery]\nsubscribe = false\npublish = false\n";

fn gateway_before_engine(around: &Surroundings) -> String {
    format!("{ALONE}[ollama]\nurl = \"http://{}\"\nconcurrency = 10000\n", around.engine)
}

fn worker_config(around: &Surroundings, friend: &str) -> String {
    let room = "enabled = true\nlisten = \"127.0.0.1:0\"\nconcurrency = 2000\nqueue = 10000\n";
    let credit =
        format!("newcomer_allowance = {PLENTY}\nnewcomer_pool_per_day = {PLENTY}\nanonymous = {PLENTY}\n");
    format!("{}[worker]\n{room}[credit]\n{credit}{friend}", gateway_before_engine(around))
}

fn gateway_before_worker(worker: &str, serves: SocketAddr) -> String {
    // The gateway's own engine is a port where nothing answers; all work goes to the worker.
    format!(
        "{ALONE}[ollama]\nurl = \"http://127.0.0.1:9\"\n\
         [[peers]]\npubkey = \"{worker}\"\nurl = \"http://{serves}\"\nlabel = \"worker\"\ncredit_limit = {PLENTY}\n\
         [[routes]]\nmodel = \"{MODEL}\"\nto = [\"friends\"]\n"
    )
}

/// Starts `lobstah up`; gives where its role listens and how long it took until it served there.
async fn lobstah(
    around: &Surroundings,
    home: &TempDir,
    role: &str,
    config: &str,
) -> anyhow::Result<(Process, SocketAddr, Duration)> {
    fs::write(home.path().join("lobstah.toml"), config)?;
    let mut command = command(around, home);
    command.arg("up");
    let name = format!("lobstah-{role}");
    let Cores { subject, harness } = around.cores;
    let mut process = Process::start(&name, command, home.path(), subject, harness)?;
    let line = process.says(role).await?;
    let address = line.strip_prefix("http://").and_then(|rest| rest.split('/').next()?.parse().ok());
    let address = address.with_context(|| format!("lobstah says that its {role} is at `{line}`"))?;
    let took = healthy(&process, address).await?;
    Ok((process, address, took))
}

/// The key of a node, made by it.
fn key(around: &Surroundings, home: &TempDir) -> anyhow::Result<String> {
    let output = command(around, home).args(["keygen", "--json"]).output()?;
    if !output.status.success() {
        bail!("lobstah keygen: {}", String::from_utf8_lossy(&output.stderr));
    }
    let made: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let key = made["publicKey"].as_str().context("lobstah keygen printed no publicKey")?;
    Ok(key.to_owned())
}

/// lobstah with nothing of the caller's environment but where programs are found.
fn command(around: &Surroundings, home: &TempDir) -> Command {
    let mut command = Command::new(&around.lobstah);
    command.env_clear().env("LOBSTAH_HOME", home.path()).env("HOME", home.path());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn home(around: &Surroundings, name: &str) -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&around.folder);
    made.with_context(|| format!("no folder can be made in {}", around.folder.display()))
}

/// Waits for the first 200 from /healthz; gives the time since the process was started.
async fn healthy(process: &Process, address: SocketAddr) -> anyhow::Result<Duration> {
    let request = Request::get(address, "/healthz");
    let until = Instant::now() + READY_WITHIN;
    loop {
        let answer = async { Connection::open(&request).await?.whole(&request).await };
        match answer.await {
            Ok(_) => return Ok(process.begun.elapsed()),
            Err(failed) if Instant::now() > until => {
                return Err(anyhow!(failed).context(format!("no 200 from http://{address}/healthz")));
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
