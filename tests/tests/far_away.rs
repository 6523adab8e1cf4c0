//! Nodes on hosts of their own, far from each other, over a way that loses packets and at times is gone.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use stories::{
    Engine, Host, Lab, Link, Node, Setup, ask, ask_stream,
    client::{is_done, text_of},
    engine::{Behaviour, MODEL, Pace, counts, pace},
};

/// From one town to another on the far side of the world.
const FAR: Link = Link { round_trip: Duration::from_millis(200), loss: 0.01 };

/// A worker on a host of its own, with its engine beside it.
struct Worker {
    engine: Engine,
    node: Node,
    host: Host,
}

impl Worker {
    async fn start(lab: &Lab, name: &str) -> Self {
        let host = lab.host(name);
        let engine = host.inside(stories::engine);
        let node = Node::worker(&engine).on(&host).start().await;
        Self { engine, node, host }
    }
}

/// A gateway on a host of its own, far from these workers, which are its friends.
async fn far_gateway(lab: &Lab, workers: &[&Worker], change: impl FnOnce(Setup) -> Setup) -> (Host, Node) {
    let host = lab.host("gateway");
    workers.iter().for_each(|worker| lab.link(&host, &worker.host, FAR));
    let setup = workers.iter().fold(Node::gateway().on(&host), |setup, worker| setup.friend(&worker.node));
    let gateway = change(setup).start().await;
    (host, gateway)
}

#[tokio::test]
async fn two_nodes_trade_over_a_long_and_lossy_way() {
    let Some(lab) = Lab::start() else { return };
    let worker = Worker::start(&lab, "worker").await;
    let (host, gateway) = far_gateway(&lab, &[&worker], |gateway| gateway).await;
    let at = SocketAddr::new(worker.host.address(), 17474);
    assert_eq!(
        (worker.node.worker_address(), gateway.gateway_address().ip()),
        (at, Ipv4Addr::LOCALHOST.into())
    );

    worker.engine.handle.set(pace(200, Duration::from_millis(5)));
    let asked = Instant::now();
    let mut stream = gateway.stream(&ask_stream(MODEL, "tell me of the sea")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(worker.node.id.to_string().as_str()));
    let events = stream.rest().await;
    assert!(asked.elapsed() >= FAR.round_trip, "it came over the way");
    assert!(is_done(&events), "{:?} {:?}", events.last(), stream.broke);
    assert_eq!(events.iter().filter_map(|event| event.words()).count(), 200, "{}", text_of(&events));
    assert!(lab.traffic(&worker.host, &host).arrived > 20, "it was a stream all the way");

    let balance = gateway.home().run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["totals"]["receipts"], 1, "{balance}");
    assert_eq!(gateway.home().receipts().await, worker.node.home().receipts().await);
}

#[tokio::test]
async fn a_worker_whose_host_vanished_is_passed_over() {
    let Some(lab) = Lab::start() else { return };
    let (one, other) = (Worker::start(&lab, "one").await, Worker::start(&lab, "other").await);
    let (host, gateway) =
        far_gateway(&lab, &[&one, &other], |gateway| gateway.route("silence_timeout = \"2s\"")).await;
    lab.cut(&one.host);
    let before = lab.traffic(&host, &one.host);
    // They take turns, so that one of these would be the other worker's.
    for at in 0..2 {
        let mut stream = gateway.stream(&ask_stream(MODEL, &format!("anybody there? {at}"))).await;
        assert_eq!(stream.header("x-lobstah-worker"), Some(other.node.id.to_string().as_str()));
        assert!(is_done(&stream.rest().await));
    }
    assert!(lab.traffic(&host, &one.host).lost > before.lost, "it was tried");
    assert_eq!(one.engine.handle.counts().received, 0);
}

#[tokio::test]
async fn a_stream_whose_worker_vanishes_ends_with_an_error_and_the_next_goes_elsewhere() {
    const SILENCE: Duration = Duration::from_secs(3);
    let Some(lab) = Lab::start() else { return };
    let workers = [Worker::start(&lab, "one").await, Worker::start(&lab, "other").await];
    let (_, gateway) =
        far_gateway(&lab, &workers.each_ref(), |gateway| gateway.route("silence_timeout = \"3s\"")).await;
    workers.iter().for_each(|worker| worker.engine.handle.set(pace(100_000, Duration::from_millis(20))));

    let mut stream = gateway.stream(&ask_stream(MODEL, "on and on")).await;
    for _ in 0..3 {
        assert!(stream.next_data().await.is_some());
    }
    let serves = |worker: &&Worker| stream.header("x-lobstah-worker") == Some(&worker.node.id.to_string());
    let vanished = workers.iter().find(serves).unwrap();
    let left = workers.iter().find(|worker| !serves(worker)).unwrap();
    lab.cut(&vanished.host);
    let cut = Instant::now();
    let events = stream.rest().await;
    let error = events.last().and_then(|event| event.json()).unwrap();
    assert_eq!(error["error"]["code"], "upstream_lost", "{error}");
    assert!(cut.elapsed() >= SILENCE / 2, "what was on its way came: {:?}", cut.elapsed());
    assert!(cut.elapsed() < SILENCE + Duration::from_secs(5), "{:?}", cut.elapsed());

    left.engine.handle.set(Behaviour::default());
    let mut next = gateway.stream(&ask_stream(MODEL, "once more")).await;
    assert_eq!(next.header("x-lobstah-worker"), Some(left.node.id.to_string().as_str()));
    assert!(is_done(&next.rest().await));
}

#[tokio::test]
async fn a_worker_that_thinks_for_long_is_waited_for() {
    let Some(lab) = Lab::start() else { return };
    let worker = Worker::start(&lab, "worker").await;
    // It says every 15 s that it is there: less than this, and the answer takes more.
    let (_, gateway) =
        far_gateway(&lab, &[&worker], |gateway| gateway.route("silence_timeout = \"17s\"")).await;
    let thinks = Duration::from_secs(19);
    let pace = Pace { first_token: thinks, per_token: Duration::ZERO };
    worker.engine.handle.set(Behaviour { pace: Some(pace), ..Behaviour::default() });
    let asked = Instant::now();
    let mut stream = gateway.stream(&ask_stream(MODEL, "think")).await;
    let events = stream.rest().await;
    assert!(asked.elapsed() >= thinks);
    assert!(is_done(&events), "{events:?}");
    let counted = counts(&worker.engine, "its end", |counts| counts.finished == 1).await;
    assert_eq!((counted.received, counted.aborted), (1, 0), "it was asked once");
}

#[tokio::test]
async fn a_node_finds_its_friend_by_a_name() {
    let Some(lab) = Lab::start() else { return };
    let worker = Worker::start(&lab, "worker").await;
    let host = lab.host("gateway");
    let address = worker.host.address();
    let dns = host.dns(move |name, _| if name == "friend.example" { vec![address] } else { vec![] });
    let setup = Node::gateway().on(&host).friend_at(worker.node.id, "http://friend.example:17474");
    let gateway = setup.start().await;
    assert_eq!(gateway.answer(&ask(MODEL, "hi")).await.status, 200);
    assert!(dns.lookups("friend.example") > 0);
}
