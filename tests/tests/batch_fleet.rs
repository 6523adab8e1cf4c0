//! The whole grid in one night: a gateway and five workers of different speeds, two of them far away. Machines
//! die, one comes back, one answers rubbish, the gateway dies too.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use futures::future::join_all;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use stories::{
    Host, Lab, Link, Node, RogueWorker,
    accounts::Accounts,
    batches::{Ended, short_lines},
    engine::{MODEL, pace},
    fleet::{Worker, books_agree},
    json,
    rogue::{self, Act},
    rogue_worker::Asked,
};

/// A lease is never longer than an answer may take.
const ROUTE: &str = "answer_timeout = \"10s\"";

/// Of the four whose answers are good: how long a token takes, and how far away they are. From a good graphics
/// card in the house to a small board, and two on other continents.
const TOWNS: [(&str, Duration, Duration); 4] = [
    ("house", Duration::from_millis(100), Duration::ZERO),
    ("north", Duration::from_millis(150), Duration::from_millis(150)),
    ("south", Duration::from_millis(250), Duration::from_millis(250)),
    ("board", Duration::from_millis(600), Duration::ZERO),
];

/// On the ways to those who are far.
const LOSS: f64 = 0.01;

/// The fifth worker takes jobs and says of so many that they are no JSON; of all others it says 500.
const INVALID: usize = 6;

const PATIENCE: Duration = Duration::from_secs(600);

fn rubbish() -> impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |question| match question.request.method.as_str() {
        "POST" => vec![rogue::answer(202, "", r#"{"jobId":"x","status":"queued","createdAt":1}"#)],
        _ if asked.fetch_add(1, Ordering::Relaxed) < INVALID => {
            vec![rogue::answer(200, "", r#"{"jobId": "x", "status": "done", "result": {"choi"#)]
        }
        _ => vec![rogue::error(500, "", "nothing works here")],
    }
}

/// Everybody, each on a host of its own where this machine can have such.
struct Grid {
    // Behind the nodes, which run on its hosts.
    gateway: Node,
    workers: Vec<Worker>,
    rubbish: RogueWorker,
    _lab: Option<Lab>,
}

impl Grid {
    async fn start() -> Self {
        let lab = Lab::start();
        let host = |name: &str| lab.as_ref().map(|lab| lab.host(name));
        let home = host("gateway");
        let rubbish = match host("heap") {
            Some(host) => RogueWorker::start_on(&host, rubbish()).await,
            None => RogueWorker::start(rubbish()).await,
        };
        let workers = join_all(TOWNS.map(|(name, per_token, _)| town(host(name), per_token))).await;
        for ((_, town), (_, _, round_trip)) in workers.iter().zip(TOWNS) {
            if let (Some(lab), Some(home), Some(town)) = (&lab, &home, town)
                && !round_trip.is_zero()
            {
                lab.link(home, town, Link { round_trip, loss: LOSS });
            }
        }
        let workers: Vec<Worker> = workers.into_iter().map(|(worker, _)| worker).collect();
        let setup = workers.iter().fold(Node::gateway(), |setup, worker| setup.friend(&worker.node));
        let setup = home.iter().fold(setup, |setup, home| setup.on(home));
        let gateway = setup.rogue(&rubbish).route(ROUTE).start().await;
        Self { gateway, workers, rubbish, _lab: lab }
    }

    async fn start_worker_again(&mut self, at: usize) {
        let Worker { engine, node } = self.workers.remove(at);
        self.workers.insert(at, Worker { engine, node: node.start_again().await });
    }

    /// What the night cost, on every node.
    async fn assert_accounts_are_right(&self, ended: &Ended) {
        let owed = books_agree(&self.gateway, self.workers.iter().map(|worker| &worker.node)).await;
        let ours = Accounts::of(&self.gateway).await;
        let beside = ours.assert_answers_are_paid_once(ended);
        eprintln!("{} credits for answers, {beside} for what no line has", ended.tokens());
        assert_eq!((ours.total(), owed), (ended.tokens() + beside, ended.tokens() + beside));
        for worker in &self.workers {
            let (id, theirs) = (worker.node.id, Accounts::of(&worker.node).await);
            assert!(theirs.total() > 0, "everybody worked");
            let standing = self.gateway.home().standing(id).await;
            let owed = standing["owedByMe"].as_u64().unwrap();
            assert_eq!([ours.of_worker(id), theirs.of_worker(id), theirs.total()], [owed; 3]);
        }
        assert_eq!(ours.of_worker(self.rubbish.id()), 0, "rubbish costs nothing");
    }
}

async fn town(host: Option<Host>, per_token: Duration) -> (Worker, Option<Host>) {
    let engine = host.as_ref().map_or_else(stories::engine, |host| host.inside(stories::engine));
    engine.handle.set(pace(1, per_token));
    let setup = Node::worker(&engine).set("worker.concurrency", "2");
    let node = host.iter().fold(setup, |setup, host| setup.on(host)).start().await;
    (Worker { engine, node }, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_answered_once_and_paid_once_whoever_dies_and_whatever_is_lost() {
    let lines = 1000;
    let mut grid = Grid::start().await;
    let metadata = json!({"hedge": "true"});
    let id = grid.gateway.begin_batch(&short_lines(MODEL, lines), metadata).await;
    grid.gateway.batch_reaches(&id, lines as u64 / 3, PATIENCE).await;
    let (house, north) = (0, 1);
    grid.workers[house].node.kill();
    grid.workers[north].node.kill();
    grid.start_worker_again(house).await;
    grid.gateway.batch_reaches(&id, lines as u64 * 2 / 3, PATIENCE).await;
    let done = grid.gateway.batch(&id).await["request_counts"]["completed"].as_u64().unwrap();
    assert!(done < lines as u64, "it is over before the gateway could die");
    grid.gateway.kill();
    grid.gateway = grid.gateway.start_again().await;
    let ended = grid.gateway.batch_ended(&id, PATIENCE).await;
    ended.assert_answered(lines);
    assert!(!grid.rubbish.rogue.asked().is_empty(), "it was tried");
    // For the books alone: what it made before it died is not forgotten.
    grid.start_worker_again(north).await;
    grid.assert_accounts_are_right(&ended).await;
}
