//! A batch over five machines of different speeds, two of which are killed for good when a third of it is done.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::Duration;
use stories::{
    Host, Lab, Link, Node,
    batches::{Ended, short_lines},
    engine::{MODEL, pace},
    fleet::{Worker, books_agree, workers},
    json,
};

/// A lease is never longer than an answer may take.
const ROUTE: &str = "answer_timeout = \"10s\"";

/// For one token each: from a good graphics card to a small board.
const SPEEDS: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(300),
];

const PATIENCE: Duration = Duration::from_secs(300);

async fn two_die(gateway: Node, mut workers: Vec<Worker>, lines: usize) -> (Node, Vec<Worker>, Ended) {
    for (worker, per_token) in workers.iter().zip(SPEEDS) {
        worker.engine.handle.set(pace(2, per_token));
    }
    let id = gateway.begin_batch(&short_lines(MODEL, lines), json!({"hedge": "true"})).await;
    gateway.batch_reaches(&id, lines as u64 / 3, PATIENCE).await;
    // The quickest, and one that has some lines now.
    workers[0].node.kill();
    workers[3].node.kill();
    let ended = gateway.batch_ended(&id, PATIENCE).await;
    ended.assert_answered(lines);
    (gateway, workers, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_that_die_for_good_do_not_stop_a_batch() {
    let workers: [Worker; 5] = workers().await;
    let setup = workers.iter().fold(Node::gateway(), |setup, worker| setup.friend(&worker.node));
    let gateway = setup.route(ROUTE).start().await;
    let (gateway, workers, _) = two_die(gateway, workers.into(), 150).await;
    let alive = [1, 2, 4].map(|at| &workers[at].node);
    books_agree(&gateway, alive).await;
}

async fn far_worker(lab: &Lab, name: &str) -> (Host, Worker) {
    let host = lab.host(name);
    let engine = host.inside(stories::engine);
    let node = Node::worker(&engine).on(&host).start().await;
    (host, Worker { engine, node })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_lines_run_over_five_towns_of_which_two_go_dark() {
    if std::env::var_os("LOBSTAH_TEST_ALL").is_none() {
        eprintln!("SKIPPED: set LOBSTAH_TEST_ALL=1");
        return;
    }
    let Some(lab) = Lab::start() else { return };
    let mut far = Vec::new();
    for name in ["north", "east", "south", "west", "island"] {
        far.push(far_worker(&lab, name).await);
    }
    let host = lab.host("gateway");
    let link = Link { round_trip: Duration::from_millis(60), loss: 0.01 };
    far.iter().for_each(|(town, _)| lab.link(&host, town, link));
    let workers: Vec<Worker> = far.into_iter().map(|(_, worker)| worker).collect();
    let setup = workers.iter().fold(Node::gateway().on(&host), |setup, worker| setup.friend(&worker.node));
    let gateway = setup.route(ROUTE).start().await;
    let (gateway, workers, ended) = two_die(gateway, workers, 1000).await;
    assert_eq!(ended.output.len(), 1000);
    let alive = [1, 2, 4].map(|at| &workers[at].node);
    books_agree(&gateway, alive).await;
}
