//! From the first start to the last: what a node says, what it refuses, how it stops, and what it sees
//! of changes while it runs.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, time::Duration};
use stories::{
    Answer, Home, Node, Raw, Setup, Stream, World, ask, ask_stream,
    client::{Event, http, is_done},
    engine::{self, Behaviour, MODEL, Trouble, counts},
    eventually, json,
    process::Process,
};

/// A stream that hangs after two tokens.
async fn held(world: &World) -> Stream {
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(2)));
    let mut stream = world.gateway.stream(&ask_stream(MODEL, "hold on")).await;
    stream.next_data().await.unwrap();
    stream.next_data().await.unwrap();
    stream
}

async fn refuses_connections(address: std::net::SocketAddr) {
    eventually("no new connections are taken", async || {
        tokio::net::TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_finishes_its_streams_and_takes_nothing_new() {
    let mut world = World::start().await;
    let mut stream = held(&world).await;
    for node in [&world.gateway, &world.worker] {
        node.terminate();
    }
    refuses_connections(world.gateway.gateway_address()).await;
    refuses_connections(world.worker.worker_address()).await;
    assert!(!world.gateway.process.has_ended() && !world.worker.process.has_ended());
    world.engine.handle.release();
    let rest = stream.rest().await;
    assert!(is_done(&rest), "{rest:?}");
    assert_eq!(world.gateway.ended().await.code(), Some(0));
    assert_eq!(world.worker.ended().await.code(), Some(0));
    assert_eq!(world.gateway.home().receipts().await.len(), 1, "its receipt was kept");
    assert_eq!(world.worker.home().receipts().await.len(), 1);
}

#[tokio::test]
async fn a_request_on_an_open_connection_is_refused_while_a_node_stops() {
    let world = World::start().await;
    let _stream = held(&world).await;
    let mut idle = Raw::to(world.gateway.gateway_address()).await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    world.gateway.terminate();
    refuses_connections(world.gateway.gateway_address()).await;
    // Closed, or told that it is over; not served.
    let sent = idle.try_send("GET /pubkey HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let said = String::from_utf8_lossy(&idle.until_closed().await).into_owned();
    assert!(!sent || said.is_empty() || said.starts_with("HTTP/1.1 503"), "{said}");
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_cut() {
    let mut world = World::with(|worker| worker, |gateway| gateway.set("gateway.drain", "\"1s\"")).await;
    let mut stream = held(&world).await;
    let told = tokio::time::Instant::now();
    world.gateway.terminate();
    assert_eq!(world.gateway.ended().await.code(), Some(0));
    assert!(told.elapsed() >= Duration::from_millis(900), "it had a second");
    assert!(!is_done(&stream.rest().await));
    assert!(world.gateway.process.stderr().contains("1 request"), "{}", world.gateway.process.stderr());
    counts(&world.engine, "that nobody listens", |counts| counts.in_flight == 0).await;
}

#[tokio::test]
async fn an_idle_node_stops_at_once() {
    for signal in ["TERM", "INT"] {
        let mut world = World::start().await;
        // Connections that are open and want nothing: one that was used, one that never said a word.
        let mut used = Raw::to(world.gateway.gateway_address()).await;
        used.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        used.answer().await;
        let _new = Raw::to(world.gateway.gateway_address()).await;
        assert_eq!(world.gateway.answer(&ask(MODEL, "hi")).await.status, 200);
        for node in [&mut world.gateway, &mut world.worker] {
            let told = tokio::time::Instant::now();
            node.process.signal(signal);
            assert_eq!(node.ended().await.code(), Some(0));
            assert!(told.elapsed() < Duration::from_secs(5), "{signal}: {:?} of 10 s grace", told.elapsed());
        }
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let engine = stories::engine();
    for key in ["gateway.listen", "worker.listen"] {
        let home = Node::worker(&engine).set(key, &format!("\"{address}\"")).written();
        let said = home.run(&["up"]).await;
        assert_eq!(said.code(), 1);
        let role = key.split('.').next().unwrap();
        let named = [role, &address.to_string(), "in use"].iter().all(|part| said.stderr.contains(part));
        assert!(named && !said.stderr.contains("panicked"), "{}", said.stderr);
    }
    let home =
        Node::gateway().set("gateway.listen", "\"192.0.2.1:0\"").set("gateway.api_keys", "[\"k\"]").written();
    let said = home.run(&["up"]).await;
    assert_eq!(said.code(), 1);
    assert!(said.stderr.contains("192.0.2.1"), "{}", said.stderr);
}

#[tokio::test]
async fn a_gateway_that_others_can_reach_needs_keys() {
    let open = || Node::gateway().set("gateway.listen", "\"0.0.0.0:0\"");
    let said = open().written().run(&["up"]).await;
    assert_eq!(said.code(), 1);
    assert!(said.stderr.contains("gateway.api_keys") && said.stderr.contains("0.0.0.0"), "{}", said.stderr);

    let home = open().set("gateway.api_keys", "[\"sesame\"]").written();
    let mut process = Process::start(&home, &["up"]);
    let url = process.says("the base URL", base_url).await;
    assert!(url.starts_with("http://127.0.0.1:"), "one that can be dialled: {url}");
    let request = http().get(format!("{url}/models")).header("host", "any.example");
    Answer::of(request.try_clone().unwrap()).await.error(401, "invalid_api_key");
    assert_eq!(
        Answer::of(request.bearer_auth("sesame")).await.status,
        200,
        "its name is checked on loopback only"
    );
}

fn base_url(said: &str) -> Option<String> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("export OPENAI_BASE_URL="))?;
    said.contains("export OPENAI_API_KEY=").then(|| line.to_owned())
}

#[tokio::test]
async fn up_says_where_it_is_what_it_found_and_what_to_export() {
    let world = World::start().await;
    let said = world.worker.process.stdout();
    assert!(said.contains(&world.worker.id.to_string()), "{said}");
    assert!(said.contains("3 models: practice:1b, practice:8b, practice-embed:latest"), "{said}");
    let url = base_url(&said).unwrap();
    assert_eq!(url, world.worker.url("/v1"));
    let request = http().post(format!("{url}/chat/completions")).header("content-type", "application/json");
    assert_eq!(Answer::of(request.body(ask(MODEL, "hi").to_string())).await.status, 200);
}

#[tokio::test]
async fn a_running_gateway_sees_within_a_second_whom_a_command_added_and_removed() {
    let engine = stories::engine();
    let worker = Node::worker(&engine).start().await;
    let gateway = Node::gateway().start().await;
    gateway.answer(&ask(MODEL, "anybody?")).await.error(503, "no_upstream");
    let id = worker.id.to_string();
    gateway.home().run(&["peers", "add", &id, &worker.worker_url(""), "friend"]).await.ok();
    let added = tokio::time::Instant::now();
    eventually("the friend serves", async || {
        (gateway.answer(&ask(MODEL, "anybody?")).await.status == 200).then_some(())
    })
    .await;
    // A second, and time for a busy machine to ask the newcomer what it has.
    assert!(added.elapsed() < Duration::from_secs(5), "{:?}", added.elapsed());
    assert_eq!(gateway.get_json("/peers").await[0]["label"], "friend");

    gateway.home().run(&["peers", "remove", &id]).await.ok();
    eventually("the friend is gone", async || {
        (gateway.answer(&ask(MODEL, "anybody?")).await.status == 503).then_some(())
    })
    .await;
    let again = gateway.home().run(&["peers", "remove", &id]).await;
    assert_eq!(again.code(), 1);
}

const V1_KEY: &str = "lob106751266f7bec9f3a04466ced4ea605111a919f52d075325171719c6825d8b7d";
const V1_SECRET: &str = "e941aca23592dd206697e38369d55d9d7d4365fc29ed3a25c122cd240da2c9d7";

fn home_with_v1_identity(mode: u32) -> Home {
    let home = Home::new();
    let identity = json!({"version": 1, "publicKey": V1_KEY, "secretKey": V1_SECRET}).to_string();
    let path = home.write("identity.json", &identity);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    home
}

#[tokio::test]
async fn an_identity_of_the_first_lobstah_is_kept_and_upgraded() {
    let gateway = Node::gateway().in_home(home_with_v1_identity(0o600)).start().await;
    assert_eq!(gateway.id.to_string(), V1_KEY);
    let path = gateway.home().file("identity.json");
    let file: stories::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((&file["version"], &file["secretKey"]), (&json!(2), &json!(V1_SECRET)));
    assert_eq!(file["nostrPublicKey"].as_str().unwrap().len(), 64);
    assert_eq!(file["nostrSecretKey"].as_str().unwrap().len(), 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn an_identity_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let home = Node::gateway().in_home(home_with_v1_identity(0o644)).written();
    let said = home.run(&["up"]).await;
    let command = format!("chmod 600 {}", home.file("identity.json").display());
    assert_eq!(said.code(), 1);
    assert!(said.stderr.contains(&command), "{}", said.stderr);
}

#[tokio::test]
async fn a_worker_says_at_once_that_a_stream_is_queued_and_serves_it_in_turn() {
    let one_at_a_time = |worker: Setup| worker.set("worker.concurrency", "1");
    let world = World::with(one_at_a_time, |gateway| gateway).await;
    let at_the_worker = |prompt: &str| {
        let request = http().post(world.worker.worker_url("/v1/chat/completions"));
        request.header("content-type", "application/json").body(ask_stream(MODEL, prompt).to_string())
    };
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut first = Stream::of(at_the_worker("first")).await;
    first.next_data().await.unwrap();
    let mut second = Stream::of(at_the_worker("second")).await;
    assert_eq!(second.next().await.unwrap().text, ": waiting");
    assert_eq!(world.worker_capacity().await["queueDepth"], 2);
    world.engine.handle.release();
    assert!(is_done(&first.rest().await));
    let rest = second.rest().await;
    assert!(is_done(&rest) && rest.iter().any(|event| Event::words(event).is_some()), "{rest:?}");
    assert_eq!(engine::bodies(&world.engine).len(), 2);
}

#[tokio::test]
async fn a_worker_tells_what_it_has_and_how_busy_it_is() {
    let limits =
        |worker: Setup| worker.set("worker.models", "[\"practice:*\"]").set("worker.tier", "\"batch\"");
    let world = World::with(limits, |gateway| gateway).await;
    let capacity = world.worker_capacity().await;
    assert_eq!(capacity["pubkey"], world.worker.id.to_string());
    assert_eq!(capacity["models"], json!(["practice:1b", "practice:8b"]), "what is not lent is not told");
    assert_eq!((&capacity["protocol"], &capacity["tier"]), (&json!(2), &json!("batch")));
    assert_eq!((&capacity["concurrency"], &capacity["queueDepth"]), (&json!(8), &json!(0)));
    assert_eq!(capacity["jobCounts"], json!({"queued": 0, "running": 0, "done": 0, "error": 0}));
    let request =
        http().post(world.worker.worker_url("/v1/embeddings")).header("content-type", "application/json");
    let body = json!({"model": "practice-embed", "input": "x"}).to_string();
    Answer::of(request.body(body)).await.error(404, "model_not_found");
}

/// `GET /capacity`
trait Capacity {
    async fn worker_capacity(&self) -> stories::Value;
}

impl Capacity for World {
    async fn worker_capacity(&self) -> stories::Value {
        Answer::of(http().get(self.worker.worker_url("/capacity"))).await.json()
    }
}
