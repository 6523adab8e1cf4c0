//! `lobstah share`: an owner begins and ends to work for others while the node runs.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::net::TcpListener;
use stories::{
    Answer, Engine, Home, Lab, MeetingPlace, Node, Requester, Value, World, ask,
    client::{http, is_done},
    engine::{Behaviour, MODEL, Trouble, counts, engine},
    eventually,
    jobs::accounted,
    node::closed_port,
    strangers::{Announced, Meeting, gateway_at, has_forgotten, knows},
};

async fn share(home: &Home, what: &str) -> Value {
    home.run(&["share", what, "--json"]).await.ok().json()
}

#[tokio::test]
async fn a_gateway_works_for_others_when_its_owner_says_so_and_until_he_says_no() {
    let engine = engine();
    let node = Node::gateway().ollama(&engine).set("worker.listen", "\"127.0.0.1:0\"").start().await;
    let before = share(node.home(), "status").await;
    assert_eq!((&before["sharing"], &before["listen"]), (&false.into(), &Value::Null), "{before}");

    let on = share(node.home(), "on").await;
    assert_eq!((&on["sharing"], &on["announcing"]), (&true.into(), &false.into()), "{on}");
    assert!(on["models"].as_array().unwrap().contains(&MODEL.into()), "{on}");
    let url = format!("http://{}", on["listen"].as_str().unwrap());
    let gateway = Node::gateway().friend_at(node.id, &url).start().await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    let earned = share(node.home(), "on").await;
    assert!(earned["earned"].as_u64().unwrap() > 0, "on twice is on: {earned}");
    assert_eq!(earned["listen"], on["listen"]);
    let told = node.home().run(&["share"]).await.ok().stdout;
    assert!(told.contains(&url) && told.contains(MODEL), "{told}");
    assert!(told.contains("only this machine reaches"), "{told}");

    assert_eq!(share(node.home(), "off").await["sharing"], false);
    let late = gateway.answer(&ask(MODEL, "once more, over the connection that I keep")).await;
    assert!(matches!(late.status, 502 | 503), "{} {}", late.status, late.body);
    eventually("nobody listens there any more", async || {
        http().get(format!("{url}/healthz")).send().await.is_err().then_some(())
    })
    .await;
    assert_eq!(node.answer(&ask(MODEL, "and I?")).await.status, 200, "the owner is served as before");
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has() {
    let world = World::start().await;
    world.engine.handle.set(Behaviour::of(Trouble::HangAfter(2)).times(1));
    let mut stream = world.gateway.stream(&stories::ask_stream(MODEL, "a long story")).await;
    let off = share(world.worker.home(), "off").await;
    assert_eq!((&off["sharing"], &off["serving"]), (&false.into(), &1.into()), "{off}");
    world.engine.handle.release();
    assert!(is_done(&stream.rest().await));
    let on = share(world.worker.home(), "on").await;
    assert_eq!(on["sharing"], true);
    let answer = Answer::of(http().get(format!("http://{}/healthz", on["listen"].as_str().unwrap()))).await;
    assert_eq!(answer.status, 200);
}

/// A worker with one place in its engine, that listens where it did whenever it is told to.
async fn worker_of_one(engine: &Engine) -> Node {
    let listen = format!("\"{}\"", closed_port());
    Node::worker(engine).set("worker.listen", &listen).set("worker.concurrency", "1").start().await
}

#[tokio::test]
async fn of_the_jobs_of_others_that_which_runs_is_finished_and_those_that_wait_go_on_waiting() {
    let engine = engine();
    let (worker, requester) = (worker_of_one(&engine).await, Requester::new());
    worker.home().run(&["credit", "lend", &requester.id().to_string(), "1000000"]).await.ok();
    engine.handle.set(Behaviour::of(Trouble::Hang).times(1));
    let running = requester.submit(&worker, &ask(MODEL, "first")).await;
    counts(&engine, "the first job", |counts| counts.received == 1).await;
    let waiting = requester.submit(&worker, &ask(MODEL, "second")).await;

    let off = share(worker.home(), "off").await;
    assert_eq!((&off["sharing"], &off["serving"]), (&false.into(), &1.into()), "{off}");
    engine.handle.release();
    eventually("the job that ran is over", async || {
        (share(worker.home(), "status").await["serving"] == 0).then_some(())
    })
    .await;
    assert_eq!(worker.answer(&ask(MODEL, "mine")).await.status, 200);
    assert_eq!(engine.handle.counts().received, 2, "the job that ran, and what the owner asked");

    assert_eq!(share(worker.home(), "on").await["listen"], worker.worker_address().to_string());
    for job in [running, waiting] {
        accounted(&job, &requester.once(&worker, &job.id, "done").await);
    }
    assert_eq!(engine.handle.counts().received, 3);
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn strangers_find_who_shares_and_lose_who_stops() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    knows(&gateway, &worker).await;
    let home = worker.node.home();
    for _ in 0..2 {
        assert_eq!(share(home, "off").await["announcing"], false);
        has_forgotten(&gateway, &worker.id()).await;
        assert_eq!(share(home, "on").await["announcing"], true);
        knows(&gateway, &worker).await;
        let answer = gateway.answer(&ask(MODEL, "hello, stranger")).await;
        assert_eq!((answer.status, answer.header("x-lobstah-worker")), (200, Some(worker.id().as_str())));
    }
}

#[tokio::test]
async fn what_was_said_ends_with_the_node_and_the_settings_decide_the_next_start() {
    let engine = engine();
    let worker = worker_of_one(&engine).await;
    assert_eq!(share(worker.home(), "off").await["sharing"], false);
    let worker = worker.start_again().await;
    assert_eq!(share(worker.home(), "status").await["sharing"], true);
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("\"{}\"", taken.local_addr().unwrap());
    let node = Node::gateway().set("worker.listen", &listen).start().await;
    let said = node.home().run(&["share", "on"]).await;
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("cannot listen"), "{}", said.stderr);
    assert!(said.stderr.contains("worker.listen"), "{}", said.stderr);
    assert_eq!(share(node.home(), "status").await["sharing"], false, "and it can be tried again");
    drop(taken);
    assert_eq!(share(node.home(), "on").await["sharing"], true);
    let nobody = Home::new().run(&["share"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.stderr.contains("lobstah up"), "{}", nobody.stderr);
    assert_eq!(Home::new().run(&["share", "perhaps"]).await.status.code(), Some(2));
}
