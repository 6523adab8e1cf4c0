//! What tools see through OpenAI's own packages for Python and Node.js: the scripts in
//! `tests/clients/`, each against an engine beside the gateway and against one behind a worker.
#![allow(clippy::unwrap_used, reason = "a harness that cannot go on has found a failure")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};
use stories::{
    Engine, Home, Node, World,
    engine::{Behaviour, Trouble, engine_with},
    node::Setup,
    process::Process,
    sdks::{self, clients},
};

/// As `common.py` and `common.mjs` have them.
const MODELS: [&str; 3] = ["practice:8b", "practice-embed:latest", "hf.co/team/practice:Q4_K_M"];

/// Below the target folder, where the SDKs are.
const TARGET: &str = env!("CARGO_TARGET_TMPDIR");

/// Which the scripts send, and the gateway wants.
const KEY: &str = "sk-of-the-stories";

#[tokio::test]
async fn the_sdks_work_with_an_engine_beside_the_gateway() {
    let python = sdks::installed(TARGET);
    let engine = engine_with(&MODELS);
    let gateway = keyed(Node::gateway().ollama(&engine)).start().await;
    let scripts = Scripts { base_url: gateway.url("/v1"), worker: "local".to_owned(), python };
    scripts.see_a_healthy_node().await;
    scripts.see_every_trouble_of(&engine).await;

    engine.stop().await;
    scripts.run("errors", &["nobody"]).await;
    assert_eq!(gateway.home().receipts().await.len(), 0, "the owner's own engine makes no debts");
}

#[tokio::test]
async fn the_sdks_work_with_an_engine_behind_a_worker() {
    let python = sdks::installed(TARGET);
    let engine = engine_with(&MODELS);
    let worker = Node::worker(&engine).start().await;
    // Who has no Ollama and may use it is told to start it, for any model; so the route leaves it out.
    let gateway = keyed(Node::gateway().friend(&worker)).route("to = [\"friends\"]").start().await;
    let mut world = World { engine, worker, gateway };
    let (base_url, worker) = (world.gateway.url("/v1"), world.worker.id.to_string());
    let scripts = Scripts { base_url, worker, python };
    scripts.see_a_healthy_node().await;
    assert_books_agree(&world).await;
    scripts.see_every_trouble_of(&world.engine).await;
    assert_books_agree(&world).await;

    world.worker.kill();
    scripts.run("errors", &["nobody"]).await;
}

/// A gateway that wants a key, and keeps nobody waiting for long.
fn keyed(setup: Setup) -> Setup {
    setup.set("gateway.api_keys", &format!("[\"{KEY}\"]")).set("gateway.max_wait", "\"2s\"")
}

/// Every receipt of the gateway is the worker's. The worker may have one more for each stream that a
/// script left in the middle: it was made to its end before anyone noticed.
async fn assert_books_agree(world: &World) {
    const LEFT_IN_THE_MIDDLE: usize = 2;
    let received = world.gateway.home().receipts().await;
    let served = world.worker.home().receipts().await;
    assert!(received.len() > 20, "each whole answer brings a receipt: {}", received.len());
    assert!(received.iter().all(|receipt| served.contains(receipt)), "the worker has not all that it signed");
    let more = served.len() - received.len();
    assert!(more <= LEFT_IN_THE_MIDDLE, "{more} receipts did not reach the gateway");
}

/// The scripts of both SDKs, with what they are told.
struct Scripts {
    base_url: String,
    worker: String,
    python: PathBuf,
}

impl Scripts {
    async fn see_a_healthy_node(&self) {
        for script in ["chat", "streaming", "tools", "structured", "embeddings", "models"] {
            self.run(script, &[]).await;
        }
        self.run("errors", &["refused"]).await;
        self.run("files", &[]).await;
        self.run("batches", &["created"]).await;
        self.run("batches", &["answered"]).await;
    }

    async fn see_every_trouble_of(&self, engine: &Engine) {
        let fail = |status| Trouble::Fail { status, body: None };
        let troubles = [
            ("conflict", fail(409)),
            ("failing", fail(503)),
            ("broken", Trouble::CutAfter(5)),
            ("busy", fail(429)),
        ];
        for (case, trouble) in troubles {
            engine.handle.set(Behaviour::of(trouble));
            self.run("errors", &[case]).await;
        }
        engine.handle.set(Behaviour::default());
    }

    async fn run(&self, script: &str, args: &[&str]) {
        let folder = clients();
        self.run_with(&self.python, &folder.join("python").join(format!("{script}.py")), args).await;
        self.run_with(Path::new("node"), &folder.join("node").join(format!("{script}.mjs")), args).await;
    }

    async fn run_with(&self, program: &Path, script: &Path, args: &[&str]) {
        let home = Home::new();
        let mut command = Command::new(program);
        command
            .arg(script)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.outside())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OPENAI_BASE_URL", &self.base_url)
            .env("OPENAI_API_KEY", KEY)
            .env("EXPECTED_WORKER", &self.worker);
        let mut process = Process::of(&home, command);
        let status = process.ended().await;
        assert!(
            status.success(),
            "{} {}: {}{}",
            script.display(),
            args.join(" "),
            process.stdout(),
            process.stderr()
        );
    }
}
