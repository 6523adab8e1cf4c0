//! A running node: the real binary, in a home of its own, on ports that the system chose.

use crate::{
    binary::lobstah, client::Answer, engine::Engine, eventually, home::Home, lab::Host, patience::PATIENCE,
    process::Process, rogue_worker::RogueWorker,
};
use protocol::NodeId;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    process::ExitStatus,
};

/// How a node is to be started.
#[derive(Debug, Default)]
pub struct Setup {
    worker: bool,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    tables: String,
    friends: Vec<(String, String)>,
    /// Homes of workers whose owners lend this node as to a friend.
    lenders: Vec<String>,
    home: Home,
    limit_files: Option<u32>,
}

/// More credits than any story spends.
const PLENTY: &str = "1000000000000";

/// One that runs.
#[derive(Debug)]
pub struct Node {
    // Before the home, whose files have its log.
    pub process: Process,
    setup: Setup,
    pub id: NodeId,
    gateway: SocketAddr,
    worker: Option<SocketAddr>,
}

/// Where the workers on the hosts of a lab listen.
const WORKER_PORT: u16 = 17474;

/// A port of this machine where nothing listens.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Node {
    /// A gateway without an engine of its own.
    pub fn gateway() -> Setup {
        let nobody = format!("\"http://{}\"", closed_port());
        Setup::default()
            .set("gateway.listen", "\"127.0.0.1:0\"")
            .set("gateway.drain", "\"10s\"")
            .set("ollama.url", &nobody)
    }

    /// A node that works for others with this engine.
    pub fn worker(engine: &Engine) -> Setup {
        let setup = Self::gateway().ollama(engine);
        Setup { worker: true, ..setup }
            .set("worker.enabled", "true")
            .set("worker.listen", "\"127.0.0.1:0\"")
            .set("worker.concurrency", "8")
            // Stories that are not about credit have enough of it.
            .set("credit.anonymous", PLENTY)
            .set("credit.newcomer_allowance", PLENTY)
            .set("credit.newcomer_pool_per_day", PLENTY)
    }

    /// Of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway)
    }

    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway
    }

    pub fn worker_address(&self) -> SocketAddr {
        self.worker.expect("a node that works for others")
    }

    pub fn worker_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.worker_address())
    }

    pub fn home(&self) -> &Home {
        &self.setup.home
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, which asks it to finish.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    pub async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }

    /// Starts it again, where it was and with what it has on disk.
    pub async fn start_again(self) -> Node {
        self.start_again_with(|setup| setup).await
    }

    /// The same with something changed.
    pub async fn start_again_with(mut self, change: impl FnOnce(Setup) -> Setup) -> Node {
        self.process.kill();
        let mut setup = std::mem::take(&mut self.setup);
        setup = setup.set("gateway.listen", &format!("\"{}\"", self.gateway));
        if let Some(worker) = self.worker {
            setup = setup.set("worker.listen", &format!("\"{worker}\""));
        }
        change(setup).start().await
    }
}

impl Setup {
    /// A key of `lobstah.toml` and its value as it is written there.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let (section, name) = key.rsplit_once('.').unwrap();
        self.settings.entry(section.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// Further text at the end of `lobstah.toml`.
    pub fn table(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self.tables.push('\n');
        self
    }

    /// A route for every model.
    pub fn route(self, keys: &str) -> Self {
        self.table(&format!("[[routes]]\nmodel = \"*\"\n{keys}"))
    }

    /// The engine of its own.
    pub fn ollama(self, engine: &Engine) -> Self {
        self.set("ollama.url", &format!("\"{}\"", engine.url.as_str().trim_end_matches('/')))
    }

    pub fn friend(mut self, worker: &Node) -> Self {
        self.lenders.push(worker.home().file("").display().to_string());
        self.friend_at(worker.id, &worker.worker_url(""))
    }

    pub fn rogue(self, worker: &RogueWorker) -> Self {
        self.friend_at(worker.id(), &worker.url())
    }

    pub fn friend_at(mut self, id: NodeId, url: &str) -> Self {
        self.friends.push((id.to_string(), url.to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.home = self.home.env(name, value);
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.home = self.home.without_env(name);
        self
    }

    /// On a host of a lab: the gateway listens on its loopback, for the tools on this host, and the worker
    /// on its address. What the node is to reach on loopback, such as its engine, is made there too:
    /// `host.inside(engine)`.
    pub fn on(mut self, host: &Host) -> Self {
        self.home = self.home.on(host);
        if !self.worker {
            return self;
        }
        self.set("worker.listen", &format!("\"{}\"", SocketAddr::new(host.address(), WORKER_PORT)))
    }

    /// A home that has something in it already.
    pub fn in_home(self, home: Home) -> Self {
        let home = match self.home.host() {
            Some(host) => home.on(host),
            None => home,
        };
        Setup { home, ..self }
    }

    /// `ulimit -n`
    pub fn open_files(self, limit: u32) -> Self {
        Setup { limit_files: Some(limit), ..self }
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.settings {
            text.push_str(&format!("[{section}]\n"));
            keys.iter().for_each(|(key, value)| text.push_str(&format!("{key} = {value}\n")));
        }
        for (id, url) in &self.friends {
            text.push_str(&format!("[[peers]]\npubkey = \"{id}\"\nurl = \"{url}\"\n"));
        }
        text + &self.tables
    }

    /// Writes the config and gives the home, for a start that is to fail.
    pub fn written(self) -> Home {
        self.home.write("lobstah.toml", &self.toml());
        self.home
    }

    /// `lobstah up`, until it is ready and has asked everybody what they have.
    pub async fn start(self) -> Node {
        self.home.write("lobstah.toml", &self.toml());
        let mut process = match self.limit_files {
            None => Process::start(&self.home, &["up"]),
            Some(limit) => {
                let mut shell = self.home.shell(&format!("ulimit -n {limit}; exec \"$0\" up"));
                shell.arg(lobstah());
                Process::of(&self.home, shell)
            }
        };
        let address = |text: &str, role: &str| -> Option<SocketAddr> {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(role))?;
            line.trim().strip_prefix("http://")?.trim_end_matches("/v1").parse().ok()
        };
        // The last line of the greeting, so that all of it is here.
        let gateway = process
            .says("where the gateway is", |text| {
                text.contains("export OPENAI_API_KEY").then(|| address(text, "gateway")).flatten()
            })
            .await;
        let said = process.stdout();
        let worker = if self.worker { address(&said, "worker") } else { None };
        let id = said.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        let node = Node { setup: self, process, id, gateway, worker };
        node.wait_until_ready().await;
        for lender in &node.setup.lenders {
            let lend = Home::new().env("LOBSTAH_HOME", lender);
            lend.run(&["credit", "lend", &node.id.to_string(), PLENTY]).await.ok();
        }
        node
    }

    /// Who is asked at the start: the engine and the friends.
    fn upstreams(&self) -> usize {
        1 + self.friends.len()
    }
}

impl Node {
    async fn wait_until_ready(&self) {
        eventually("the gateway is ready", async || {
            let answer = tokio::time::timeout(PATIENCE, self.get("/readyz").send()).await;
            answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status() == 200)).then_some(())
        })
        .await;
        // The greeting ends with what to export; a line for each of them follows.
        eventually("everybody was asked what they have", async || {
            let said = self.process.stdout();
            let (_, found) = said.split_once("export OPENAI_API_KEY")?;
            let lines = found.lines().skip(1).filter(|line| !line.is_empty()).count();
            (lines >= self.setup.upstreams()).then_some(())
        })
        .await;
    }

    /// Waits until a friend's models are known here.
    pub async fn knows_model(&self, model: &str) {
        eventually("the gateway knows the model", async || {
            let models = Answer::of(self.get("/v1/models")).await.json();
            let listed = models["data"].as_array().unwrap().iter().any(|one| one["id"] == model);
            listed.then_some(())
        })
        .await;
    }
}
