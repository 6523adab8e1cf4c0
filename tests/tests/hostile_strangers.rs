//! Keys cost nothing, so strangers may be many and all of them one: what they can do to a request is little.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use nostr_sdk::Keys;
use std::time::{Duration, Instant};
use stories::{
    Act, Host, Lab, MeetingPlace, Node, Rogue, ask, ask_stream,
    client::is_done,
    engine::MODEL,
    eventually, rogue,
    rogue_relay::{RogueRelay, announced, frame},
    rogue_worker::new_key,
    strangers::{Announced, Meeting, knows, strangers},
};

/// More than one request tries.
const MANY: usize = 20;

/// A relay on which so many keys announce the same address.
fn announced_at(lab: &Lab, url: &str, count: usize) -> RogueRelay {
    let announce = |_| frame(&announced(&new_key(), url, MODEL, &Keys::generate()));
    RogueRelay::start(&lab.host("liars"), (0..count).map(announce).collect())
}

/// A gateway that asks strangers first, then a server of its owner's.
async fn gateway(lab: &Lab, relays: &[String], known: usize) -> (Host, Node, Rogue) {
    let host = lab.host("gateway");
    let cloud =
        Rogue::start_on(&host, |_| vec![rogue::answer(200, "", &rogue::completion("from the cloud"))]).await;
    let gateway = Meeting::relays(relays)
        .of(Node::gateway().on(&host))
        .set("discovery.subscribe", "true")
        .table(&format!("[[upstreams]]\nname = \"cloud\"\nurl = \"{}/v1\"", cloud.url()))
        .route("to = [\"network\", \"cloud\"]\nsilence_timeout = \"2s\"")
        .start()
        .await;
    eventually("all strangers are known", async || (strangers(&gateway).await.len() >= known).then_some(()))
        .await;
    (host, gateway, cloud)
}

/// What a worker of version 1 says at `/capacity`, with these models, and `otherwise` to everything else.
fn capacity(
    models: &'static str,
    otherwise: impl Fn() -> Act + Send + Sync + 'static,
) -> impl Fn(&rogue::Request) -> Vec<Act> + Send + Sync + 'static {
    move |request| match request.path.as_str() {
        "/capacity" => vec![rogue::answer(200, "", &format!("{{\"models\":[{models}]}}"))],
        _ => vec![otherwise()],
    }
}

#[tokio::test]
async fn many_that_are_not_there_take_no_other_groups_turn() {
    let Some(lab) = Lab::start() else { return };
    // Nothing listens at this host.
    let relay = announced_at(&lab, &format!("http://{}:17474", lab.host("nobody").address()), MANY);
    let (_host, gateway, _cloud) = gateway(&lab, &[relay.url()], MANY).await;
    let answer = gateway.answer(&ask(MODEL, "hello")).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-lobstah-worker")),
        ("from the cloud", Some("cloud"))
    );
}

#[tokio::test]
async fn many_that_lie_about_their_models_hide_no_honest_one() {
    let Some(lab) = Lab::start() else { return };
    let liar =
        Rogue::start_on(&lab.host("liar"), capacity("\"other:1b\"", || rogue::error(404, "", "no"))).await;
    let relay = announced_at(&lab, &liar.url(), MANY);
    let honest = MeetingPlace::relay(&lab.host("honest")).await;
    let worker = Announced::start(&lab, "worker", &Meeting::relays(&[honest.url()]), |setup| setup).await;
    let (_host, gateway, cloud) = gateway(&lab, &[relay.url(), honest.url()], MANY + 1).await;
    knows(&gateway, &worker).await;
    eventually("the liars are found out", async || {
        let answer = gateway.answer(&ask(MODEL, "hello")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.header("x-lobstah-worker") == Some(worker.id().as_str())).then_some(())
    })
    .await;
    let mut stream = gateway.stream(&ask_stream(MODEL, "hello again")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(worker.id().as_str()));
    assert!(is_done(&stream.rest().await));
    assert!(liar.asked().is_empty(), "nobody without the model is sent a prompt");
    let explained = gateway.home().run(&["route", "explain", MODEL]).await.ok().stdout;
    assert!(explained.contains("does not have the model that it announced"), "{explained}");
    drop(cloud);
}

#[tokio::test]
async fn one_that_says_nothing_gets_no_prompt_and_holds_nobody_up() {
    let Some(lab) = Lab::start() else { return };
    let silent = Rogue::start_on(&lab.host("silent"), |_| vec![Act::Hang]).await;
    let relay = announced_at(&lab, &silent.url(), 1);
    let (_host, gateway, _cloud) = gateway(&lab, &[relay.url()], 1).await;
    let asked = Instant::now();
    assert_eq!(gateway.answer(&ask(MODEL, "swordfish")).await.text(), "from the cloud");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert!(silent.asked().is_empty());
    let again = Instant::now();
    assert_eq!(gateway.answer(&ask(MODEL, "swordfish")).await.text(), "from the cloud");
    assert!(again.elapsed() < Duration::from_secs(3), "its silence is remembered: {:?}", again.elapsed());
}

#[tokio::test]
async fn two_strangers_do_not_decide_that_a_request_is_wrong() {
    let Some(lab) = Lab::start() else { return };
    let model: &'static str = Box::leak(format!("\"{MODEL}\"").into_boxed_str());
    let liar = Rogue::start_on(
        &lab.host("liar"),
        capacity(model, || rogue::error(400, "", "your request is wrong")),
    )
    .await;
    let relay = announced_at(&lab, &liar.url(), 2);
    let (_host, gateway, _cloud) = gateway(&lab, &[relay.url()], 2).await;
    let answer = gateway.answer(&ask(MODEL, "hello")).await;
    assert_eq!(answer.text(), "from the cloud");
    assert_eq!(answer.header("x-lobstah-attempts"), Some("3"), "both were asked");
}

#[tokio::test]
async fn a_worker_started_with_flags_is_found() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let host = lab.host("worker");
    let engine = host.inside(stories::engine);
    let home = stories::Home::new().on(&host).env("OLLAMA_HOST", &engine.addr.to_string());
    let (address, url) = (host.address().to_string(), format!("http://{}:17474", host.address()));
    let flags = [
        "worker",
        "start",
        "--host",
        &address,
        "--publish-via-nostr",
        "--nostr-relay",
        &relay.url(),
        "--announce-url",
        &url,
        "--announce-label",
        "by flags",
        "--announce-ttl",
        "120",
        "--tier",
        "batch",
    ];
    let _worker = stories::process::Process::start(&home, &flags);
    let (_host, gateway, _cloud) = gateway(&lab, &[relay.url()], 1).await;
    let peers = gateway.get_json("/peers").await;
    assert_eq!((&peers[0]["label"], &peers[0]["url"]), (&"by flags".into(), &url.into()), "{peers}");
    assert_ne!(gateway.answer(&ask(MODEL, "hello")).await.text(), "from the cloud");
}
