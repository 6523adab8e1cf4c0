//! Two people who never exchanged an address work for each other: found on a relay or a tracker, used,
//! and forgotten when gone. On hosts with addresses of their own, since nobody announces loopback.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::time::{Duration, Instant};
use stories::{
    Lab, Link, MeetingPlace, Node, Setup, Value, ask, ask_stream,
    client::{is_done, text_of},
    engine::{self, Behaviour, MODEL, Trouble, pace},
    eventually,
    strangers::{Announced, Meeting, gateway_at, has_forgotten, knows},
};

#[tokio::test]
async fn two_nodes_that_share_nothing_but_a_relay_serve_a_stream() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    knows(&gateway, &worker).await;
    let mut stream = gateway.stream(&ask_stream(MODEL, "hello, stranger")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(worker.id().as_str()));
    let events = stream.rest().await;
    assert!(is_done(&events) && text_of(&events).starts_with("Practice"), "{events:?}");
    assert_eq!(gateway.home().receipts().await, worker.node.home().receipts().await);
    let listed = gateway.home().run(&["peers", "list", "--json"]).await.ok().json();
    let row = &listed.as_array().unwrap()[0];
    assert_eq!((&row["pubkey"], &row["source"]), (&worker.id().into(), &"nostr".into()), "{listed}");
    assert!(row["models"].as_array().unwrap().contains(&MODEL.into()), "{listed}");

    // A clean stop is a deletion: it is gone at once, and not when its time to live is over.
    worker.node.terminate();
    has_forgotten(&gateway, &worker.id()).await;
    gateway.answer(&ask(MODEL, "anybody?")).await.error(503, "no_upstream");
}

#[tokio::test]
async fn a_worker_on_one_of_three_relays_is_used_within_two_seconds() {
    let Some(lab) = Lab::start() else { return };
    let relays =
        [MeetingPlace::relay(&lab.host("relay-1")).await, MeetingPlace::relay(&lab.host("relay-2")).await];
    // The third was never there.
    let nobody = format!("ws://{}:17477", lab.host("nobody").address());
    let all = Meeting::relays(&[relays[0].url(), relays[1].url(), nobody]);
    let (host, gateway) = gateway_at(&lab, &all, |setup| setup).await;
    let one = Meeting::relays(&[relays[1].url()]);
    let worker = Announced::start(&lab, "worker", &one, |setup| setup).await;
    let listens =
        format!("ws://{}:17477", relays[1].url().split(':').nth(1).unwrap().trim_start_matches('/'));
    let published = eventually("it was published", async || {
        worker.node.process.stderr().contains(&listens).then(Instant::now)
    })
    .await;
    eventually("it is used", async || {
        (gateway.answer(&ask(MODEL, "hello")).await.status == 200).then_some(())
    })
    .await;
    assert!(published.elapsed() < Duration::from_secs(2), "{:?}", published.elapsed());
    let _ = host;
}

#[tokio::test]
async fn a_killed_worker_costs_the_user_nothing_and_is_not_chosen_twice() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let mut one = Announced::start(&lab, "one", &meeting, |setup| setup).await;
    let other = Announced::start(&lab, "other", &meeting, |setup| setup).await;
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    knows(&gateway, &one).await;
    knows(&gateway, &other).await;
    let mut served = std::collections::BTreeSet::new();
    for at in 0..4 {
        let answer = gateway.answer(&ask(MODEL, &format!("hello {at}"))).await;
        served.insert(answer.header("x-lobstah-worker").unwrap().to_owned());
    }
    assert_eq!(served.len(), 2, "both are used: {served:?}");
    one.node.kill();
    let mut tries = 0;
    for at in 0..6 {
        let answer = gateway.answer(&ask(MODEL, &format!("hello again {at}"))).await;
        assert_eq!((answer.status, answer.header("x-lobstah-worker")), (200, Some(other.id().as_str())));
        tries += answer.header("x-lobstah-attempts").unwrap().parse::<usize>().unwrap();
    }
    assert!(tries <= 7, "the dead one was chosen {} times", tries - 6);
    let explained = gateway.home().run(&["route", "explain", MODEL, "--json"]).await.ok().json();
    let dead =
        explained["candidates"].as_array().unwrap().iter().find(|one_| one_["peer"] == one.id()).unwrap();
    assert!(dead["place"].is_null() || dead["reason"] != "free", "{explained}");
}

#[tokio::test]
async fn a_busy_stranger_is_left_for_a_free_one_and_labels_are_preferred() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let tier = |tier: &'static str| move |setup: Setup| setup.set("worker.tier", &format!("\"{tier}\""));
    let batch = Announced::start(&lab, "batch", &meeting, tier("batch")).await;
    let quick = Announced::start(&lab, "quick", &meeting, |setup| {
        tier("interactive")(setup).set("worker.concurrency", "1")
    })
    .await;
    let night = |setup: Setup| {
        setup.table(&format!(
            "[[routes]]\nmodel = \"night\"\nuse = \"{MODEL}\"\nto = [\"network\"]\ntier = \"batch\""
        ))
    };
    let host = lab.host("gateway");
    let setup = meeting.of(Node::gateway().on(&host)).set("discovery.subscribe", "true");
    let gateway = night(setup).route("to = [\"network\"]").start().await;
    knows(&gateway, &batch).await;
    knows(&gateway, &quick).await;
    for at in 0..3 {
        let mut stream = gateway.stream(&ask_stream(MODEL, &format!("quick {at}"))).await;
        assert_eq!(stream.header("x-lobstah-worker"), Some(quick.id().as_str()));
        stream.rest().await;
        let answer = gateway.answer(&ask("night", &format!("slow {at}"))).await;
        assert_eq!(answer.header("x-lobstah-worker"), Some(batch.id().as_str()), "{}", answer.body);
    }
    quick.engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut holds = gateway.stream(&ask_stream(MODEL, "hold")).await;
    holds.next_data().await.unwrap();
    let stream = gateway.stream(&ask_stream(MODEL, "the other one then")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(batch.id().as_str()), "nobody is refused for a label");
}

#[tokio::test]
async fn a_stranger_that_announces_what_it_does_not_have_is_passed_over() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let liar = Announced::start(&lab, "liar", &meeting, |setup| setup).await;
    let honest = Announced::start(&lab, "honest", &meeting, |setup| setup).await;
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    knows(&gateway, &liar).await;
    knows(&gateway, &honest).await;
    // It says that it has the model, and answers every request for it with 404.
    liar.engine.handle.set(Behaviour::of(Trouble::Fail { status: 404, body: None }));
    let mut tries = 0;
    for at in 0..6 {
        let answer = gateway.answer(&ask(MODEL, &format!("hello {at}"))).await;
        assert_eq!(answer.header("x-lobstah-worker"), Some(honest.id().as_str()), "{}", answer.body);
        tries += answer.header("x-lobstah-attempts").unwrap().parse::<usize>().unwrap();
    }
    assert!(tries <= 7, "{tries} tries for 6 answers");
}

#[tokio::test]
async fn the_roster_survives_a_restart_and_the_death_of_every_relay() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    knows(&gateway, &worker).await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    gateway.terminate();
    let mut gateway = gateway;
    gateway.ended().await;
    drop(relay);
    let gateway = gateway.start_again().await;
    let answer = gateway.answer(&ask(MODEL, "and now?")).await;
    assert_eq!(answer.header("x-lobstah-worker"), Some(worker.id().as_str()), "{}", answer.body);
}

#[tokio::test]
async fn a_relay_that_comes_back_is_used_again() {
    let Some(lab) = Lab::start() else { return };
    let place = lab.host("relay");
    let relay = MeetingPlace::relay(&place).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let (_, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    drop(relay);
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    let _relay = MeetingPlace::relay(&place).await;
    knows(&gateway, &worker).await;
}

#[tokio::test]
async fn a_tracker_brings_nodes_together_where_there_is_no_relay() {
    let Some(lab) = Lab::start() else { return };
    let tracker = MeetingPlace::tracker(&lab.host("tracker")).await;
    let meeting = Meeting::trackers(&[tracker.url()]);
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    let (host, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    knows(&gateway, &worker).await;
    assert_eq!(gateway.answer(&ask(MODEL, "hello")).await.status, 200);
    // By a command, in a home where nothing runs.
    let home = stories::Home::new().on(&host);
    let synced = home.run(&["peers", "sync", &tracker.url()]).await.ok();
    assert!(synced.stdout.contains('1'), "{}", synced.stdout);
    let listed = home.run(&["peers", "list", "--json"]).await.ok().json();
    assert_eq!(listed[0]["source"], "tracker", "{listed}");
    assert!(!home.file("peers.json").exists(), "what is found is no friend");
    worker.node.terminate();
    eventually("it took itself off the list", async || {
        let peers: Value =
            host.http().get(format!("{}/peers", tracker.url())).send().await.ok()?.json().await.ok()?;
        (peers["count"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn gossip_fills_a_home_from_relays_and_a_running_node_sees_it() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let worker = Announced::start(&lab, "worker", &Meeting::relays(&[relay.url()]), |setup| setup).await;
    let host = lab.host("gateway");
    let gateway = Node::gateway().on(&host).route("to = [\"network\"]").start().await;
    eventually("the relay has it", async || {
        let said = gateway.home().run(&["peers", "gossip-nostr", "--nostr-relay", &relay.url()]).await.ok();
        said.stdout.contains(&worker.id()[..12]).then_some(())
    })
    .await;
    eventually("the running node uses it", async || {
        (gateway.answer(&ask(MODEL, "hello")).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_loopback_address_is_not_announced_and_the_reason_is_said() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let host = lab.host("worker");
    let engine = host.inside(stories::engine);
    let worker = Meeting::relays(&[relay.url()])
        .of(Node::worker(&engine).on(&host))
        .set("discovery.publish", "true")
        .set("discovery.announce_url", "\"http://127.0.0.1:17474\"")
        .start()
        .await;
    eventually("it says why", async || {
        let said = worker.process.stderr();
        (said.contains("loopback") && said.contains("announce_url")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_name_that_changes_its_answer_leads_nowhere_else() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let worker = Announced::start(&lab, "worker", &meeting, |setup| {
        setup.set("discovery.announce_url", "\"http://worker.example:17474\"")
    })
    .await;
    let (host, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    // Its own address once, for the question what it has; then this machine, the metadata service, …
    let real = worker.host.address();
    let dns = host.dns(move |_, nth| match nth {
        0 => vec![real],
        n => vec![["127.0.0.1", "169.254.169.254"][n % 2].parse().unwrap()],
    });
    let trap = host.inside(stories::engine);
    knows(&gateway, &worker).await;
    for _ in 0..4 {
        let answer = gateway.answer(&ask(MODEL, "hello")).await;
        assert!(answer.status == 200 || answer.body.contains("never dialled"), "{}", answer.body);
    }
    assert!(dns.lookups("worker.example") >= 1);
    assert_eq!(trap.handle.counts().received, 0);
}

#[tokio::test]
async fn strangers_far_away_stream_and_fail_over() {
    let Some(lab) = Lab::start() else { return };
    let far = Link { round_trip: Duration::from_millis(200), loss: 0.01 };
    let relay_host = lab.host("relay");
    let relay = MeetingPlace::relay(&relay_host).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let mut one = Announced::start(&lab, "one", &meeting, |setup| setup).await;
    let other = Announced::start(&lab, "other", &meeting, |setup| setup).await;
    let (host, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    [&one.host, &other.host, &relay_host].into_iter().for_each(|there| lab.link(&host, there, far));
    knows(&gateway, &one).await;
    knows(&gateway, &other).await;
    for worker in [&one, &other] {
        worker.engine.handle.set(pace(60, Duration::from_millis(10)));
    }
    let mut stream = gateway.stream(&ask_stream(MODEL, "from afar")).await;
    assert!(is_done(&stream.rest().await), "{:?}", stream.broke);
    one.node.kill();
    for at in 0..3 {
        let mut stream = gateway.stream(&ask_stream(MODEL, &format!("from afar again {at}"))).await;
        assert_eq!(stream.header("x-lobstah-worker"), Some(other.id().as_str()));
        assert!(is_done(&stream.rest().await), "{:?}", stream.broke);
    }
    assert!(engine::bodies(&other.engine).len() >= 3);
}

#[tokio::test]
async fn a_route_to_local_alone_sends_no_packet_for_a_request() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(&[relay.url()]);
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    let host = lab.host("gateway");
    let engine = host.inside(stories::engine);
    let setup = meeting.of(Node::gateway().ollama(&engine).on(&host)).set("discovery.subscribe", "true");
    let gateway = setup.route("to = [\"local\"]").start().await;
    knows(&gateway, &worker).await;
    let before = lab.traffic(&host, &worker.host).sent;
    for trouble in [Trouble::None, Trouble::Fail { status: 500, body: None }, Trouble::RefuseBody] {
        engine.handle.set(Behaviour::of(trouble).times(1));
        gateway.answer(&ask(MODEL, "swordfish")).await;
    }
    assert_eq!(lab.traffic(&host, &worker.host).sent, before, "not one packet");
    assert_eq!(worker.engine.handle.counts().received, 0);
}
