//! Every command: what it prints, for people and as JSON (SPEC section 8), and its exit code: 0 done,
//! 1 failed, 2 wrong use.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};
use stories::{
    Answer, Home, Node, Value, World, client::http, engine::MODEL, home::vectors, json, process::Process,
    rogue_worker::new_key,
};

const COMMANDS: [&str; 24] = [
    "",
    "demo",
    "up",
    "keygen",
    "worker",
    "worker start",
    "share",
    "router start",
    "peers add",
    "peers remove",
    "peers list",
    "batch run",
    "batch submit",
    "batch status",
    "batch list",
    "batch cancel",
    "balance",
    "receipts list",
    "receipts verify",
    "receipts export",
    "receipts import",
    "receipts audit",
    "config check",
    "config show",
];

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[tokio::test]
async fn every_command_has_help_and_makes_nothing_by_it() {
    let home = Home::new();
    for command in COMMANDS.iter().chain(&["config schema"]) {
        let said = home.run(&[words(command), vec!["--help"]].concat()).await.ok();
        assert!(said.stdout.contains("Usage: lobstah"), "{command}: {}", said.stdout);
        assert!(!said.stdout.contains('\x1b'), "{command}: colours are for terminals");
    }
    assert_eq!(fs::read_dir(home.file("")).unwrap().count(), 0);
}

#[tokio::test]
async fn wrong_use_is_told_apart_from_failure() {
    let home = Home::new();
    let key = new_key().node_id().to_string();
    for wrong in [
        "",
        "fly",
        "up --fast",
        "peers add",
        "peers add lob1 http://x",
        "receipts verify",
        "worker start --tier gold",
    ] {
        let said = home.run(&words(wrong)).await;
        assert_eq!(said.code(), 2, "{wrong}: {}{}", said.stdout, said.stderr);
    }
    let failing = [
        "receipts verify no-such-file".to_owned(),
        "receipts import no-such-file".to_owned(),
        "receipts audit".to_owned(),
        "config check no-such-file".to_owned(),
        format!("peers remove {key}"),
        format!("peers add {key} ftp://x"),
    ];
    for failing in failing {
        let said = home.run(&words(&failing)).await;
        assert_eq!(said.code(), 1, "{failing}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.len() + said.stdout.len() > 10, "{failing}: it says why");
    }
}

#[tokio::test]
async fn keygen_makes_an_identity_once_and_shows_it_ever_after() {
    let home = Home::new();
    let made = home.run(&["keygen", "--json"]).await.ok().json();
    let keys: BTreeSet<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["created", "path", "publicKey", "nostrPublicKey", "npub"]));
    assert_eq!((&made["created"], &made["path"]), (&json!(true), &json!(home.file("identity.json"))));
    assert!(made["publicKey"].as_str().unwrap().starts_with("lob1"));
    assert!(made["npub"].as_str().unwrap().starts_with("npub1"));
    let shown = home.run(&["keygen", "--json"]).await.ok().json();
    assert_eq!((&shown["created"], &shown["publicKey"]), (&json!(false), &made["publicKey"]));
    let told = home.run(&["keygen"]).await.ok().stdout;
    assert!(
        told.contains(made["publicKey"].as_str().unwrap()) && told.contains(made["npub"].as_str().unwrap())
    );

    let new = home.run(&["keygen", "--force", "--json"]).await.ok().json();
    assert_ne!(new["publicKey"], made["publicKey"]);
    let old = fs::read_to_string(home.file("identity.json.old")).unwrap();
    assert!(old.contains(made["publicKey"].as_str().unwrap()), "the old one is kept");
}

#[tokio::test]
async fn an_identity_of_the_vectors_has_the_names_that_it_should_have() {
    let home = Home::new();
    for case in vectors("identity.json") {
        let path = home.write("identity.json", &case["file_v2"].to_string());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let shown = home.run(&["keygen", "--json"]).await.ok().json();
        assert_eq!(shown["publicKey"], case["file_v2"]["publicKey"]);
        assert_eq!(shown["nostrPublicKey"], case["file_v2"]["nostrPublicKey"]);
        assert_eq!(shown["npub"], case["npub"]);
    }
}

#[tokio::test]
async fn peers_are_listed_with_what_they_have_and_how_they_fare() {
    let world = World::start().await;
    let home = world.gateway.home();
    let (gone, gone_url) =
        (new_key().node_id().to_string(), format!("http://{}", stories::node::closed_port()));
    home.run(&["peers", "add", &gone, &gone_url, "old laptop"]).await.ok();
    let listed = home.run(&["peers", "list", "--json"]).await.ok().json();
    let of =
        |key: &str| listed.as_array().unwrap().iter().find(|peer| peer["pubkey"] == key).unwrap().clone();
    assert_eq!(
        of(&gone),
        json!({"pubkey": gone, "url": gone_url, "label": "old laptop", "source": "added", "models": [], "state": "unknown"})
    );
    let there = of(&world.worker.id.to_string());
    assert_eq!(
        (&there["source"], &there["state"], &there["label"]),
        (&json!("config"), &json!("admitting"), &Value::Null)
    );
    assert_eq!((&there["url"], &there["models"][1]), (&json!(world.worker.worker_url("")), &json!(MODEL)));
    let table = home.run(&["peers", "list"]).await.ok().stdout;
    assert!(table.contains("old laptop") && table.contains(&gone), "{table}");
}

#[tokio::test]
async fn config_check_names_every_mistake_at_once_with_its_line_and_the_nearest_name() {
    let home = Home::new();
    home.write(
        "lobstah.toml",
        "[gateway]\nlistn = \"127.0.0.1:1\"\nqueue = -3\nmax_wait = \"soon\"\n\n[wroker]\nenabled = true\n\n[[routes]]\nmodel = \"*\"\nto = [\"nowhere\"]\n",
    );
    let said = home.run(&["config", "check", "--json"]).await;
    assert_eq!(said.code(), 1);
    let report = said.json();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    for (key, line, hint) in [
        ("gateway.listn", 2, "gateway.listen"),
        ("gateway.queue", 3, ""),
        ("gateway.max_wait", 4, ""),
        ("wroker", 6, "worker"),
        ("routes[0].to", 11, ""),
    ] {
        let found = problems.iter().find(|problem| problem["key"].as_str().unwrap().starts_with(key));
        let problem = found.unwrap_or_else(|| panic!("{key}: {report}"));
        assert_eq!(problem["line"], line, "{problem}");
        assert!(problem["message"].as_str().is_some_and(|message| message.len() > 5), "{problem}");
        assert!(problem.to_string().contains(hint), "{problem}");
    }
    let told = home.run(&["config", "check"]).await;
    assert_eq!(told.code(), 1);
    assert!(
        told.stdout.contains("lobstah.toml:2:1: gateway.listn") && told.stdout.contains("problems to mend"),
        "{}",
        told.stdout
    );
    let up = home.run(&["up"]).await;
    assert_eq!(up.code(), 1);
    assert!(up.stderr.contains("gateway.listn") && up.stderr.contains("wroker"), "{}", up.stderr);

    home.write("lobstah.toml", "[gateway]\nqueue = 3\n");
    let fine = home.run(&["config", "check", "--json"]).await.ok().json();
    assert_eq!(fine, json!({"ok": true, "problems": []}));
}

#[tokio::test]
async fn config_show_says_where_each_value_comes_from_and_no_secret() {
    let home = Home::new().env("LOBSTAH_GATEWAY__QUEUE", "7").env("OLLAMA_HOST", "0.0.0.0:4321");
    home.write("lobstah.toml", "[gateway]\nqueue = 3\nmax_wait = \"5s\"\napi_keys = [\"sesame-open\"]\n");
    let said = home.run(&["config", "show", "--json"]).await.ok();
    assert!(!said.stdout.contains("sesame"), "{}", said.stdout);
    let shown = said.json();
    let from = |key: &str| shown[key]["from"].as_str().unwrap_or_else(|| panic!("{key}: {shown}")).to_owned();
    assert_eq!(shown["gateway.queue"]["value"], 7);
    assert!(from("gateway.queue").contains("LOBSTAH_GATEWAY__QUEUE"));
    assert_eq!(shown["gateway.max_wait"]["value"], "5s");
    assert!(from("gateway.max_wait").contains("lobstah.toml:3"), "{}", from("gateway.max_wait"));
    assert!(from("worker.concurrency").contains("default"));
    assert!(shown["ollama.url"]["value"].as_str().unwrap().starts_with("http://127.0.0.1:4321"), "{shown}");
    assert!(from("ollama.url").contains("OLLAMA_HOST"));
    assert!(!home.run(&["config", "show"]).await.ok().stdout.contains("sesame"));
    let schema = home.run(&["config", "schema"]).await.ok().json();
    assert!(schema["$schema"].is_string() && schema["properties"]["gateway"].is_object(), "{schema}");
}

#[tokio::test]
async fn worker_start_and_router_start_take_their_flags() {
    let engine = stories::engine();
    let home = Home::new().env("OLLAMA_HOST", &engine.addr.to_string());
    let mut worker = Process::start(
        &home,
        &["worker", "start", "--port", "0", "--tier", "interactive", "--concurrency", "3"],
    );
    let address = |role: &'static str| {
        move |said: &str| -> Option<String> {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(role))?;
            said.contains("models").then(|| line.trim().trim_end_matches("/v1").to_owned())
        }
    };
    let url = worker.says("where the worker is", address("worker")).await;
    assert!(!worker.stdout().contains("export OPENAI_BASE_URL"), "there is no gateway to use");
    let capacity = Answer::of(http().get(format!("{url}/capacity"))).await.json();
    assert_eq!((&capacity["tier"], &capacity["concurrency"]), (&json!("interactive"), &json!(3)));

    let home = Home::new().env("OLLAMA_HOST", &engine.addr.to_string());
    let mut router = Process::start(&home, &["router", "start", "--host", "127.0.0.1", "--port", "0"]);
    let url = router.says("where the gateway is", address("gateway")).await;
    assert_eq!(Answer::of(http().get(format!("{url}/readyz"))).await.status, 200);
    for process in [&mut worker, &mut router] {
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn what_a_running_node_is_told_by_one_command_another_sees() {
    let gateway = Node::gateway().start().await;
    let key = new_key().node_id().to_string();
    gateway.home().run(&["peers", "add", &key, "http://127.0.0.1:9", "first"]).await.ok();
    gateway.home().run(&["peers", "add", &key, "http://127.0.0.1:9", "second"]).await.ok();
    let peers = gateway.get_json("/peers").await;
    assert_eq!(peers.as_array().unwrap().len(), 1, "{peers}");
    let peer = &peers[0];
    assert_eq!((&peer["pubkey"], &peer["url"]), (&json!(key), &json!("http://127.0.0.1:9")));
    assert_eq!((&peer["label"], &peer["source"]), (&json!("second"), &json!("added")));
}
