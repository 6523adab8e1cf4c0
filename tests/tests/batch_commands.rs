//! `lobstah batch`: what it says and leaves behind where nobody answers. What it does with answers is told
//! beside the scheduler's stories.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::fs;
use stories::{
    Home, Node, Value, ask,
    batching::{line, lines},
    engine::MODEL,
    eventually, json,
    process::Process,
};

/// Commands in the home of a node, with their output apart from the node's.
fn beside(node: &Node) -> Home {
    Home::new().env("LOBSTAH_HOME", node.home().file("").to_str().unwrap())
}

#[tokio::test]
async fn without_a_node_they_say_how_to_start_one() {
    let home = Home::new();
    home.write("a.jsonl", &lines(MODEL, 1));
    let file = home.file("a.jsonl").display().to_string();
    for args in [vec!["run", &file], vec!["submit", &file], vec!["status"], vec!["list"], vec!["cancel", "x"]]
    {
        let said = home.run(&[vec!["batch"], args].concat()).await;
        assert_eq!((said.code(), said.stdout.as_str()), (1, ""));
        assert!(said.stderr.contains("start one: lobstah up"), "{}", said.stderr);
    }
    for wrong in
        [vec!["run"], vec!["run", "a", "--window", "soon"], vec!["list", "--limit", "0"], vec!["fly"]]
    {
        assert_eq!(home.run(&[vec!["batch"], wrong].concat()).await.code(), 2);
    }
}

#[tokio::test]
async fn a_file_is_submitted_once_and_needs_no_key() {
    let node = Node::gateway().set("gateway.api_keys", "[\"sesame-open\"]").start().await;
    let home = beside(&node);
    let file = home.outside().join("questions.jsonl").display().to_string();
    fs::write(&file, lines(MODEL, 3)).unwrap();
    let submit = async |more: &[&str]| {
        let said = home.run(&[&["batch", "submit", &file], more].concat()).await.ok();
        said.stdout.trim().to_owned()
    };
    let first = submit(&[]).await;
    assert!(first.starts_with("batch_"), "{first}");
    assert_eq!(submit(&[]).await, first, "the same again is the same batch");
    let other =
        submit(&["--max-credits", "900", "--to", "local,friends", "--hedge", "--window", "30m"]).await;
    assert_ne!(other, first, "other options are another batch");
    let anew = submit(&["--again"]).await;
    assert_ne!(anew, first);
    assert_eq!(submit(&[]).await, anew, "the newest is gone on with");
    fs::write(&file, lines(MODEL, 4)).unwrap();
    let changed = submit(&[]).await;
    assert!(changed != anew && changed != first, "another content is another batch");

    let listed = home.run(&["batch", "list", "--json"]).await.ok().json();
    let ids: Vec<&str> =
        listed.as_array().unwrap().iter().map(|batch| batch["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&changed, &anew, &other, &first]);
    let with_options = &listed[2];
    assert_eq!(with_options["completion_window"], "30m");
    for (key, value) in [("max_credits", "900"), ("to", "local,friends"), ("hedge", "true")] {
        assert_eq!(with_options["metadata"][key], value);
    }
    let table = home.run(&["batch", "list", "--limit", "2"]).await.ok().stdout;
    assert!(table.contains(&changed) && table.contains(&anew) && !table.contains(&first), "{table}");
}

#[tokio::test]
async fn a_batch_is_looked_at_and_cancelled() {
    let node = Node::gateway().start().await;
    let home = beside(&node);
    let none = home.run(&["batch", "status"]).await;
    assert!(none.code() == 1 && none.stderr.contains("no batch yet"), "{}", none.stderr);
    let batch = node.batch_of(&lines(MODEL, 2)).await;
    node.batch_is(&batch, "in_progress").await;
    let id = batch["id"].as_str().unwrap();
    let newest = home.run(&["batch", "status"]).await.ok().stdout;
    assert!(newest.contains(id) && newest.contains("in_progress, 0/2 lines"), "{newest}");
    let shown = home.run(&["batch", "status", id, "--json"]).await.ok().json();
    assert_eq!(shown, node.get_json(&format!("/v1/batches/{id}")).await, "as OpenAI shows it");
    let cancelled = home.run(&["batch", "cancel", id]).await.ok().stdout;
    assert!(cancelled.starts_with(&format!("{id} is cancel")), "{cancelled}");
    node.batch_is(&batch, "cancelled").await;
    for unknown in [["batch", "status", "../route"], ["batch", "cancel", "batch_none"]] {
        let said = home.run(&unknown).await;
        assert!(said.code() == 1 && said.stderr.contains("does not exist here"), "{}", said.stderr);
    }
}

#[tokio::test]
async fn a_run_names_the_lines_that_cannot_be_run() {
    let node = Node::gateway().start().await;
    let home = beside(&node);
    let file = home.outside().join("bad.jsonl").display().to_string();
    let text = line("a", &ask(MODEL, "x")) + "{\"custom_id\": 7}\n";
    fs::write(&file, &text).unwrap();
    let said = home.run(&["batch", "run", &file]).await;
    assert_eq!(said.code(), 1);
    assert!(said.stdout.contains("failed, and nothing of it was run:\n  line 2: "), "{}", said.stdout);
    assert!(!home.outside().join("bad.out.jsonl").exists());
    let json = home.run(&["batch", "run", &file, "--json"]).await;
    assert_eq!((json.code(), &json.json()["status"]), (1, &json!("failed")));
    let missing = home.run(&["batch", "run", "no-such-file"]).await;
    assert!(
        missing.code() == 1 && missing.stderr.contains("no-such-file cannot be read"),
        "{}",
        missing.stderr
    );
    let over_itself = home.run(&["batch", "run", &file, "-o", &file]).await;
    assert_eq!(over_itself.code(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn who_leaves_a_run_finds_back_to_it_and_gets_what_was_written() {
    let node = Node::gateway().start().await;
    let home = beside(&node);
    let file = home.outside().join("questions.jsonl").display().to_string();
    fs::write(&file, lines(MODEL, 3)).unwrap();
    let mut run = Process::start(&home, &["batch", "run", &file]);
    eventually("it says how it gets on", async || {
        run.stderr().contains("in_progress, 0/3 lines").then_some(())
    })
    .await;
    run.signal("INT");
    assert_eq!(run.ended().await.code(), Some(1));
    let said = run.stderr();
    assert!(said.contains("the batch goes on") && said.contains("lobstah batch cancel batch_"), "{said}");

    let mut again = Process::start(&home, &["batch", "run", &file, "--json"]);
    eventually("it found the batch", async || again.stderr().contains("submitted before").then_some(()))
        .await;
    let batches = node.get_json("/v1/batches").await["data"].clone();
    assert_eq!(batches.as_array().unwrap().len(), 1);
    home.run(&["batch", "cancel", batches[0]["id"].as_str().unwrap()]).await.ok();
    assert_eq!(again.ended().await.code(), Some(1), "not all lines were answered");
    let over: Value = serde_json::from_str(&again.stdout()).unwrap();
    assert_eq!((&over["status"], &over["request_counts"]["failed"]), (&json!("cancelled"), &json!(3)));
    assert_eq!(fs::read_to_string(home.outside().join("questions.out.jsonl")).unwrap(), "");
    let errors = fs::read_to_string(home.outside().join("questions.out.errors.jsonl")).unwrap();
    assert_eq!(errors.lines().count(), 3);
    assert!(errors.lines().all(|line| line.contains("batch_cancelled")), "{errors}");
}

#[tokio::test]
async fn a_run_waits_for_a_node_that_is_started_again() {
    let mut node = Node::gateway().start().await;
    let home = beside(&node);
    let file = home.outside().join("questions.jsonl").display().to_string();
    fs::write(&file, lines(MODEL, 2)).unwrap();
    let mut run = Process::start(&home, &["batch", "run", &file]);
    eventually("it is under way", async || run.stderr().contains("in_progress").then_some(())).await;
    node.kill();
    eventually("it says so", async || run.stderr().contains("when it is started again").then_some(())).await;
    let node = node.start_again().await;
    let batch = node.get_json("/v1/batches").await["data"][0].clone();
    home.run(&["batch", "cancel", batch["id"].as_str().unwrap()]).await.ok();
    assert_eq!(run.ended().await.code(), Some(1));
    assert!(run.stdout().contains("cancelled: 0 of 2 lines answered"), "{}", run.stdout());
}
