//! `lobstah demo`: a whole grid in one process, in a folder that is gone afterwards.

use super::{print, table, up};
use crate::{
    clock,
    exchange::Role,
    identity_file,
    node::Node,
    services::{self, Services},
};
use ::config::{Config, Environment, Paths};
use anyhow::{Context, bail};
use discovery::{PeerEntry, PeerList};
use ledger::Entry;
use protocol::{Receipt, Signed};
use std::{net::SocketAddr, path::Path, process::ExitCode, sync::Arc, time::Duration};
use upstream_ollama::{Ollama, Practice, practice};
use url::Url;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Keep the grid up until Ctrl-C, and print the OPENAI_BASE_URL to set
    #[arg(long)]
    serve: bool,
    /// What to ask
    #[arg(long, default_value = "In two sentences: why do lobsters trade with their neighbours?")]
    prompt: String,
    /// Ask this model [default: the smallest that is there]
    #[arg(long)]
    model: Option<String>,
    /// Use the built-in practice engine even if Ollama is there
    #[arg(long)]
    practice: bool,
}

/// How long the demo's own nodes may take to find each other.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens of the demo's answer.
const ANSWER_TOKENS: u64 = 120;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("lobstah-demo-").tempdir().context("no temporary folder")?;
    up::runtime()?.block_on(async {
        tokio::select! {
            done = demo(&args, folder.path()) => done,
            stopped = stopped() => { stopped?; Ok(ExitCode::from(130)) }
        }
    })
    // `folder` is dropped here: nothing is left behind, Ctrl-C included.
}

async fn stopped() -> std::io::Result<()> {
    up::Signals::listen()?.stop().await;
    Ok(())
}

async fn demo(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    let engine = Engine::find(args.practice).await?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => engine.smallest_model().await?,
    };
    print(&format!("{}\n\n", engine.introduction(&model)))?;
    let grid = Grid::start(folder, &engine.url).await?;
    print(&grid.introduction())?;
    if args.serve {
        print(&up::how_to_use(grid.gateway_address, true))?;
        print(&format!("  model: {model}        stop with Ctrl-C\n"))?;
        std::future::pending::<()>().await;
    }
    let outcome = ask(&grid, &model, &args.prompt).await;
    let outcome = match outcome {
        Ok(()) => grid.show_books().await,
        failed => failed,
    };
    grid.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What answers: the owner's Ollama, or no model at all.
struct Engine {
    url: Url,
    /// Runs as long as it is held.
    practice: Option<practice::Running>,
}

impl Engine {
    async fn find(practice: bool) -> anyhow::Result<Self> {
        let env = Environment::from_process_env();
        let config = ::config::load_text(Path::new("demo"), "", &env, &[]);
        let url = config.ok().map(|loaded| loaded.config.ollama.url);
        if let (Some(url), false) = (url, practice)
            && let Ok(models) = Ollama::new(url.clone())?.models().await
            && models.iter().any(usable)
        {
            return Ok(Self { url, practice: None });
        }
        let running = Practice::builder().tokens_per_second(40).start().context("the practice engine")?;
        Ok(Self { url: running.url.clone(), practice: Some(running) })
    }

    async fn smallest_model(&self) -> anyhow::Result<String> {
        let models = Ollama::new(self.url.clone())?.models().await?;
        let smallest = models.into_iter().filter(usable).min_by_key(|model| model.size.unwrap_or(u64::MAX));
        smallest
            .map(|model| model.name.to_string())
            .context("the engine has no model; get one with: ollama pull llama3.2:1b")
    }

    fn introduction(&self, model: &str) -> String {
        match &self.practice {
            None => format!("Ollama at {} answers, with {model}.", self.url.as_str().trim_end_matches('/')),
            Some(_) => format!(
                "No Ollama with a model was found, so the built-in practice engine answers ({model}).\n\
                 It is no model at all: its words are drawn at random, everything around them is real."
            ),
        }
    }
}

/// Models that can chat on this machine: embeddings cannot, and cloud models are not ours to lend.
fn usable(model: &upstream_ollama::Model) -> bool {
    !model.remote && !upstream_ollama::is_cloud(&model.name) && !model.name.as_str().contains("embed")
}

/// Two workers and a gateway, each a node with a home of its own.
struct Grid {
    gateway: Arc<Node>,
    gateway_address: SocketAddr,
    workers: Vec<(Arc<Node>, SocketAddr)>,
    services: Vec<Services>,
}

impl Grid {
    async fn start(folder: &Path, engine: &Url) -> anyhow::Result<Self> {
        let mut services = Vec::new();
        let mut workers = Vec::new();
        let mut friends = Vec::new();
        for label in ["worker-1", "worker-2"] {
            let (node, address, service) = start_node(folder, label, engine, Role::Worker, &[])?;
            let url = Url::parse(&format!("http://{address}"))?;
            friends.push(PeerEntry { pubkey: node.me, url, label: Some(label.into()) });
            workers.push((node, address));
            services.push(service);
        }
        // The gateway's own engine is a port where nothing answers, so that all work goes to peers.
        let nobody = Url::parse("http://127.0.0.1:9")?;
        let (gateway, gateway_address, service) =
            start_node(folder, "gateway", &nobody, Role::Gateway, &friends)?;
        services.push(service);
        let grid = Self { gateway, gateway_address, workers, services };
        grid.wait_until_known().await?;
        Ok(grid)
    }

    /// Until the gateway heard from both workers.
    async fn wait_until_known(&self) -> anyhow::Result<()> {
        let all = self.gateway.roster.all();
        let peers = all.iter().filter(|upstream| upstream.node().is_some());
        let asked = peers.map(|upstream| self.gateway.prober.if_older(upstream, PATIENCE));
        tokio::time::timeout(PATIENCE, futures::future::join_all(asked))
            .await
            .context("the workers do not answer")?;
        if all.iter().any(|upstream| upstream.node().is_some() && !upstream.inventory().up) {
            bail!("a worker of the demo does not answer");
        }
        Ok(())
    }

    fn introduction(&self) -> String {
        let mut rows: Vec<Vec<String>> = Vec::new();
        rows.push(vec![
            "gateway".into(),
            format!("http://{}", self.gateway_address),
            self.gateway.me.short(),
        ]);
        for (at, (node, address)) in self.workers.iter().enumerate() {
            rows.push(vec![format!("worker-{}", at + 1), format!("http://{address}"), node.me.short()]);
        }
        format!("{}\n", table::render(&["node", "at", "key"], &rows))
    }

    async fn show_books(&self) -> anyhow::Result<()> {
        let received = self.gateway.ledger.last(1).await?;
        let entry = received.first().context("the gateway kept no receipt")?;
        let receipt = parse(entry)?;
        let served = self.workers.iter().position(|(node, _)| node.me == receipt.worker);
        let at = served.context("the receipt names a worker that is not in the demo")?;
        let kept = self.workers[at].0.ledger.last(1).await?;
        let agree = kept.first().is_some_and(|other| other.signed == entry.signed);
        print(&format!(
            "\n\nreceipt {}\n  signed by worker-{} ({}) for the gateway ({})\n  {}: {} tokens in, {} out, {} ms\n  \
             in the worker's ledger and in the gateway's: {}\n\n",
            receipt.job_id,
            at + 1,
            receipt.worker.short(),
            self.gateway.me.short(),
            receipt.model,
            receipt.usage.input_tokens,
            receipt.usage.output_tokens,
            receipt.completed_at.millis_since(receipt.started_at),
            if agree { "the same bytes" } else { "they differ" },
        ))?;
        let mut rows = Vec::new();
        let named =
            [("gateway", &self.gateway), ("worker-1", &self.workers[0].0), ("worker-2", &self.workers[1].0)];
        for (name, node) in named {
            let account = node.ledger.account(protocol::Requester::Node(node.me)).await?;
            let numbers = [account.earned, account.spent, account.receipts].map(|number| number.to_string());
            rows.push([vec![name.to_owned()], numbers.to_vec()].concat());
        }
        print(&table::render(&["balance of", "earned", "spent", "receipts"], &rows))?;
        if !agree {
            bail!("the two ledgers differ");
        }
        Ok(())
    }

    async fn stop(self) {
        for service in self.services {
            service.stop(Duration::from_secs(1)).await;
        }
    }
}

fn parse(entry: &Entry) -> anyhow::Result<Receipt> {
    let verified = Signed::<Receipt>::parse(entry.signed.as_bytes())?.verify()?;
    Ok(Receipt::clone(&verified))
}

fn start_node(
    folder: &Path,
    name: &str,
    engine: &Url,
    role: Role,
    friends: &[PeerEntry],
) -> anyhow::Result<(Arc<Node>, SocketAddr, Services)> {
    let home = folder.join(name);
    identity_file::private_folder(&home)?;
    let env: Environment = [("LOBSTAH_HOME", home.as_os_str())].into_iter().collect();
    let paths = Paths::from_env(&env)?;
    let list = PeerList::at(&paths.peers);
    for friend in friends {
        list.add(friend.clone())?;
    }
    let (identity, _) = identity_file::load_or_create(&paths.identity)?;
    let bound = services::bind(role, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = bound.address();
    let node = Node::build(config(&home, engine, address)?, identity, &paths, false)?;
    let services = Services::start(Arc::clone(&node), vec![bound]);
    Ok((node, address, services))
}

fn config(home: &Path, engine: &Url, address: SocketAddr) -> anyhow::Result<Config> {
    let text = format!(
        "[gateway]\nlisten = \"{address}\"\n[ollama]\nurl = \"{engine}\"\n[worker]\nlisten = \"{address}\"\n"
    );
    let loaded = ::config::load_text(&home.join("lobstah.toml"), &text, &Environment::default(), &[]);
    Ok(loaded.map_err(|problems| anyhow::anyhow!("{}", problems[0]))?.config)
}

/// Streams one completion through the gateway, over a socket as any tool would, and prints it as it
/// comes.
async fn ask(grid: &Grid, model: &str, prompt: &str) -> anyhow::Result<()> {
    let url = format!("http://{}/v1/chat/completions", grid.gateway_address);
    let body = serde_json::json!({
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": true,
        "max_tokens": ANSWER_TOKENS,
    });
    print(&format!("you: {prompt}\n{model}: "))?;
    let asked_at = clock::now();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut response = client.post(url).json(&body).send().await?;
    if !response.status().is_success() {
        bail!("the gateway answered {}: {}", response.status(), response.text().await?);
    }
    let mut splitter = crate::sse::Splitter::default();
    let (mut first, mut done) = (None, false);
    while let Some(chunk) = response.chunk().await? {
        for event in crate::sse::events(splitter.push(chunk)?) {
            done |= event.data() == Some(b"[DONE]");
            if let Some(words) = event.data().and_then(content) {
                first.get_or_insert_with(clock::now);
                print(&words)?;
            }
        }
    }
    if !done {
        bail!("the stream broke off");
    }
    let first = first.map_or(0, |at| at.millis_since(asked_at));
    print(&format!("\n\nfirst token after {first} ms, all after {} ms", clock::now().millis_since(asked_at)))
}

fn content(data: &[u8]) -> Option<String> {
    let chunk: serde_json::Value = serde_json::from_slice(data).ok()?;
    Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
}
