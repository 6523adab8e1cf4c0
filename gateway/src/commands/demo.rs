//! `lobstah demo`: a whole grid in one process, in a folder that is gone afterwards.

mod grid;

use super::{print, up};
use crate::clock;
use ::config::Environment;
use anyhow::{Context, bail};
use grid::Grid;
use std::{path::Path, process::ExitCode};
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
    up::Signals::listen()?.stop(|| {}).await;
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
