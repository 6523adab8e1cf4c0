//! A ledger that was damaged, cut short or has no room: it is found out and named, the rest is served, new
//! work goes on or is refused in words, and nothing is dropped in silence.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use rusqlite::Connection;
use std::{
    fs::{self, File},
    time::Duration,
};
use stories::{
    Answer, Home, Node, Requester, Value, World, ask, engine::MODEL, eventually, json, requester::Served,
    small_disk::SmallDisk,
};

const RECEIPTS: usize = 8;

/// Receipts after those, which are in the log alone.
const LATER: usize = 4;

/// Less than one transaction.
const LOG_BYTES_LEFT: u64 = 5000;

/// A pair that has done so much, all of it settled.
async fn with_receipts() -> World {
    let world = World::start().await;
    for at in 0..RECEIPTS {
        assert_eq!(world.gateway.answer(&ask(MODEL, &format!("number {at}"))).await.status, 200);
    }
    eventually("all is settled", async || {
        let standing = world.worker.home().standing(world.gateway.id).await;
        (standing["claimed"] == 0 && standing["owedToMe"].as_u64() > Some(0)).then_some(())
    })
    .await;
    world
}

/// A clean stop, after which the ledger is one file.
async fn stopped(node: &mut Node) {
    node.terminate();
    assert!(node.ended().await.success());
}

struct Audit {
    findings: Vec<Value>,
    words: String,
}

/// What `receipts audit` finds wrong, as data and in words.
async fn audit(home: &Home) -> Audit {
    let said = home.run(&["receipts", "audit", "--json"]).await;
    assert_eq!(said.code(), 1, "{}", said.stdout);
    let findings = said.json()["findings"].as_array().unwrap().clone();
    let said = home.run(&["receipts", "audit"]).await;
    assert_eq!(said.code(), 1);
    Audit { findings, words: said.stdout + &said.stderr }
}

impl Audit {
    #[track_caller]
    fn names(&self, finding: &Value) {
        let matches =
            |found: &&Value| finding.as_object().unwrap().iter().all(|(key, value)| found[key] == *value);
        assert!(self.findings.iter().any(|found| matches(&found)), "no {finding} in {:?}", self.findings);
    }

    #[track_caller]
    fn says(&self, words: &str) {
        assert!(self.words.contains(words), "no {words:?} in {}", self.words);
    }
}

/// Changes one bit wherever this text stands in a file.
fn flip_a_bit(home: &Home, text: &str) {
    let path = home.file("ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    let places: Vec<usize> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, at)| *at == text.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(path, bytes).unwrap();
}

/// The node goes on with what it has, and its new receipts are kept.
async fn is_of_use(world: &World, receipts: usize) {
    for turn in 0..2 {
        assert_eq!(world.gateway.answer(&ask(MODEL, &format!("go on {turn}"))).await.status, 200);
    }
    for node in [&world.gateway, &world.worker] {
        let balance = node.get_json("/balance").await;
        assert_eq!(balance["pubkey"], node.id.to_string());
        assert!(node.get_json("/ledger").await["total"].as_u64().unwrap() as usize >= receipts);
    }
}

#[tokio::test]
async fn a_flipped_bit_is_named_and_the_rest_is_served() {
    let World { engine, mut worker, gateway } = with_receipts().await;
    let receipts = worker.home().receipts().await;
    let third = &receipts[RECEIPTS - 3];
    stopped(&mut worker).await;
    flip_a_bit(worker.home(), third["signature"].as_str().unwrap());
    let found = audit(worker.home()).await;
    found.names(&json!({"kind": "bad_receipt", "seq": 3}));
    found.names(&json!({"kind": "chain_broken", "seq": 3}));
    found.says("entry 3 holds no good receipt");
    let worker = worker.start_again().await;
    let world = World { engine, worker, gateway };
    is_of_use(&world, RECEIPTS).await;
    // It is found still, beside the node that runs, and everything else is there.
    audit(world.worker.home()).await.names(&json!({"kind": "bad_receipt", "seq": 3}));
    let now = world.worker.home().receipts().await;
    let others = receipts.iter().filter(|one| *one != third);
    assert_eq!(now.len(), RECEIPTS + 2, "the damaged one too is shown");
    assert!(others.into_iter().all(|one| now.contains(one)));
}

#[tokio::test]
async fn a_deleted_row_is_named_and_the_rest_is_served() {
    let World { engine, mut worker, gateway } = with_receipts().await;
    let receipts = worker.home().receipts().await;
    stopped(&mut worker).await;
    let ledger = Connection::open(worker.home().file("ledger.db")).unwrap();
    let deleted =
        ledger.execute_batch("DROP TRIGGER entry_is_never_deleted; DELETE FROM entry WHERE seq = 5");
    deleted.unwrap();
    drop(ledger);
    let found = audit(worker.home()).await;
    found.names(&json!({"kind": "rows_missing", "from": 5, "to": 5}));
    found.says("entries 5 to 5 are missing");
    let world = World { engine, worker: worker.start_again().await, gateway };
    is_of_use(&world, RECEIPTS - 1).await;
    audit(world.worker.home()).await.names(&json!({"kind": "rows_missing", "from": 5, "to": 5}));
    let now = world.worker.home().receipts().await;
    let gone = &receipts[RECEIPTS - 5];
    assert!(receipts.iter().all(|one| now.contains(one) == (one != gone)));
    // The debt stands all the same: what it owes is kept beside, and the audit says what does not add up.
    let owed = world.worker.home().standing(world.gateway.id).await["owedToMe"].clone();
    assert!(owed.as_u64() > Some(0));
}

#[tokio::test]
async fn a_log_that_was_cut_short_is_told_until_its_owner_has_seen_it() {
    let World { engine, mut worker, gateway } = with_receipts().await;
    let before = worker.home().receipts().await;
    // A command that ends copies the log into the database: what comes now is in the log alone.
    for at in 0..LATER {
        assert_eq!(gateway.answer(&ask(MODEL, &format!("later {at}"))).await.status, 200);
    }
    worker.kill();
    let log = File::options().write(true).open(worker.home().file("ledger.db-wal")).unwrap();
    assert!(log.metadata().unwrap().len() > LOG_BYTES_LEFT);
    log.set_len(LOG_BYTES_LEFT).unwrap();
    drop(log);
    let found = audit(worker.home()).await;
    let lost =
        found.findings.iter().find(|found| found["kind"] == "newest_lost" && found["chain"] == "entry");
    let lost = lost.unwrap_or_else(|| panic!("{:?}", found.findings)).clone();
    assert_eq!(lost["noted"], RECEIPTS + LATER);
    let kept = lost["last"].as_u64().unwrap() as usize;
    assert!((RECEIPTS..RECEIPTS + LATER).contains(&kept), "{kept}");
    let world = World { engine, worker: worker.start_again().await, gateway };
    let now = world.worker.home().receipts().await;
    assert!(now.len() == kept && now.ends_with(&before), "what was before the cut is there");
    is_of_use(&world, kept).await;
    // It has grown past the place where it was cut, and is told all the same.
    let found = audit(world.worker.home()).await;
    let told = found.findings.iter().any(|found| {
        ["newest_lost", "rewritten"].contains(&found["kind"].as_str().unwrap()) && found["note"] != ""
    });
    assert!(told, "{:?}", found.findings);
}

/// A worker on a disk of its own, which goes first: the home is removed after it.
async fn on_a_small_disk() -> Option<(stories::Engine, Node, SmallDisk)> {
    let home = Home::new();
    let disk = SmallDisk::over(&home.file(""), 2048)?;
    let engine = stories::engine();
    let worker = Node::worker(&engine).in_home(home).start().await;
    Some((engine, worker, disk))
}

async fn serve(worker: &Node, requester: &Requester) -> Served {
    requester.ask(worker, &ask(MODEL, "Is there room?")).await
}

#[tokio::test]
async fn a_worker_whose_disk_is_full_takes_no_work_says_why_and_loses_nothing() {
    let Some((engine, worker, disk)) = on_a_small_disk().await else { return };
    let requester = Requester::new();
    worker.home().run(&["credit", "lend", &requester.id().to_string(), "1000000"]).await.ok();
    let mut kept = Vec::new();
    for _ in 0..5 {
        kept.push(serve(&worker, &requester).await.receipt().to_json());
    }
    disk.fill();
    let refused = eventually("work is refused", async || {
        let served = serve(&worker, &requester).await;
        if served.answer.status == 200 {
            // Bytes that were left took it; without a place in the ledger there is no receipt.
            kept.extend(served.answer.header("x-lobstah-receipt").map(|_| served.receipt().to_json()));
            return None;
        }
        Some(served.answer)
    })
    .await;
    let error = refused.error(500, "internal_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("books") || message.contains("disk"), "{message}");
    let made = engine.handle.counts().received;
    let resting = serve(&worker, &requester).await.answer.error(500, "internal_error");
    assert!(resting["message"].as_str().unwrap().contains("disk full"), "{resting}");
    assert_eq!(engine.handle.counts().received, made, "the engine does not work for nothing");
    assert_eq!(Answer::of(worker.get("/healthz")).await.status, 200, "it is up all the same");

    disk.make_room();
    let again = stories::eventually_within(
        Duration::from_secs(60),
        Duration::from_millis(200),
        "it works again",
        async || {
            let served = serve(&worker, &requester).await;
            (served.answer.status == 200).then_some(served)
        },
    )
    .await;
    kept.push(again.receipt().to_json());
    let text = |one: &Value| -> String {
        json!({"receipt": one["receipt"], "signature": one["signature"]}).to_string()
    };
    let there: Vec<String> = worker.home().receipts().await.iter().map(text).collect();
    for receipt in &kept {
        let receipt: Value = serde_json::from_str(receipt).unwrap();
        assert!(there.contains(&text(&receipt)), "lost: {receipt}");
    }
    assert_eq!(worker.home().standing(requester.id()).await["reserved"], 0);
    worker.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_gateway_whose_disk_is_full_orders_nothing_that_it_could_forget() {
    let engine = stories::engine();
    let worker = Node::worker(&engine).start().await;
    let home = Home::new();
    let Some(disk) = SmallDisk::over(&home.file(""), 2048) else { return };
    let gateway = Node::gateway().friend(&worker).in_home(home).start().await;
    let disk = disk;
    assert_eq!(gateway.answer(&ask(MODEL, "before")).await.status, 200);
    disk.fill();
    let refused = eventually("nothing is ordered", async || {
        let answer = gateway.answer(&ask(MODEL, "meanwhile")).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    let error = refused.error(502, "all_upstreams_failed");
    assert!(error["attempts"][0]["reason"].as_str().unwrap().contains("no order could be kept"), "{error}");
    let made = engine.handle.counts().received;
    gateway.answer(&ask(MODEL, "and now?")).await.error(502, "all_upstreams_failed");
    assert_eq!(engine.handle.counts().received, made, "nothing was asked that could not be accounted for");
    disk.make_room();
    eventually("it orders again", async || {
        (gateway.answer(&ask(MODEL, "after")).await.status == 200).then_some(())
    })
    .await;
    stories::eventually_within(
        Duration::from_secs(90),
        Duration::from_secs(1),
        "both books agree",
        async || {
            let owed = gateway.home().standing(worker.id).await["owedByMe"].clone();
            let standing = worker.home().standing(gateway.id).await;
            (standing["owedToMe"] == owed && standing["claimed"] == 0).then_some(())
        },
    )
    .await;
    gateway.home().assert_audit_is_clean().await;
}
